"""Options that several commands share, and the settings they lead to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nightread.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])

_CONFIG = click.option(
    "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML file with settings."
)
_STATE = click.option(
    "--state", "state_dir", type=click.Path(file_okay=False, path_type=Path), help="State folder [.nightread]."
)
_DATABASE = click.option("--database-url", help="PostgreSQL or SQLite URL instead of the embedded database.")
_REDIS = click.option("--redis-url", help="Redis URL instead of the embedded Redis.")
_MODEL = click.option("--model", metavar="NAME[@VERSION]", help="The bundle that analyses every image.")
_WORKERS = click.option("--workers", type=click.IntRange(min=0), help="Worker processes [one per GPU, else per core].")


def state_options(command: F) -> F:
    """--config, --state, --database-url, --redis-url: where the record and the queue are."""
    for option in (_REDIS, _DATABASE, _STATE, _CONFIG):
        command = option(command)
    return command


def worker_options(command: F) -> F:
    """--model, --workers."""
    for option in (_WORKERS, _MODEL):
        command = option(command)
    return command


def settings_from(config: Path | None = None, **options: object) -> Settings:
    """Settings with the options that were given on the command line on top."""
    return load_settings(config, **{name: value for name, value in options.items() if value is not None})
