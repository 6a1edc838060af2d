"""Define options that several commands share, and turn them into settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from nightread.environment import settings_file
from nightread.errors import UsageFault
from nightread.setting_problems import read_config, setting_problems
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
_MODEL = click.option("--model", metavar="NAME[@VERSION]", help="The model that analyses every image.")
_WORKERS = click.option(
    "--workers", type=click.IntRange(min=0), help="Number of worker processes [one per GPU, else one per core]."
)
_ANY_DOMAIN = click.option(
    "--any-domain",
    is_flag=True,
    default=None,
    help="Also analyse images that the model was not made for; every result is marked. For experiments.",
)


def state_options(command: F) -> F:
    """Add --config, --state, --database-url and --redis-url to a command."""
    for option in (_REDIS, _DATABASE, _STATE, _CONFIG):
        command = option(command)
    return command


def worker_options(command: F) -> F:
    """Add --model, --any-domain and --workers to a command."""
    for option in (_WORKERS, _ANY_DOMAIN, _MODEL):
        command = option(command)
    return command


def settings_from(config: Path | None = None, **options: object) -> Settings:
    """Load the settings; options given on the command line override them. Raises UsageFault, one line per problem."""
    given = {name: value for name, value in options.items() if value is not None}
    config = settings_file(config)
    if config:
        read_config(config)
    try:
        return load_settings(config, **given)
    except ValidationError as error:
        raise UsageFault("\n".join(setting_problems(error, config, given))) from None
