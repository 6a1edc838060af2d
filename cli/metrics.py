"""Define `nightread metrics`: print the metrics, or write them for node exporter."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from api.metrics.exposition import metrics_text
from cli.inputs.existing_database import ANSWER_SECONDS, one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from nightread.clock import utc_now
from nightread.errors import StopWork
from nightread.nights import nights_of


@click.command("metrics")
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the metrics to this file, whose name ends in .prom, for the textfile collector of node exporter.",
)
@state_options
def metrics_command(textfile: Path | None, **options: Any) -> None:
    """Print the metrics for Prometheus, computed from the database.

    The API serves the same at /metrics.

    \b
    Examples: nightread metrics
              nightread metrics --textfile /var/lib/prometheus/node-exporter/nightread.prom
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        text = metrics_text(database, settings, nights_of(settings), utc_now())
    if textfile is None:
        sys.stdout.write(text.decode())
    else:
        _replace(textfile, text)


def _replace(path: Path, text: bytes) -> None:
    """Write a file atomically. All users can read it, because node exporter runs as another user. Raises StopWork."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise StopWork(
            f"{path} cannot be written ({error.strerror or type(error).__name__}): check its folder and permissions."
        ) from error
