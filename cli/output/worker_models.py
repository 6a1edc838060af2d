"""Print warnings about workers that ignore the routing rules, or that use different models."""

from collections.abc import Sequence

from api.worker_models import worker_model_warnings
from cli.output.console import err
from db.queries import Worker


def print_worker_model_warnings(workers: Sequence[Worker], rules: int) -> None:
    """Print the warnings on standard error."""
    for warning in worker_model_warnings(workers, rules):
        err.print(warning, markup=False, style="yellow")
