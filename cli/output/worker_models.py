"""Print warnings about workers that ignore the routing rules, or that use different models."""

from collections.abc import Sequence

from api.worker_models import worker_model_warnings
from cli.output.console import err
from db.queries import Worker


def print_worker_model_warnings(workers: Sequence[Worker], rules: int) -> None:
    """Print on standard error the warnings about the models of these workers; `rules` is the number of rules."""
    for warning in worker_model_warnings(workers, rules):
        err.print(warning, markup=False, style="yellow")
