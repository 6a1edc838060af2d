"""Give a command the filters of `nightread query`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from cli.inputs.number_search import Numbers
from cli.query import query_command, wanted_images
from db.engine import Database
from db.queries import ImageFilter
from nightread.errors import UsageFault
from nightread.settings import Settings

_OF_ROWS = ("models", "shadow", "studies", "fills_sha256", "per_frame", "sort", "limit", "style", "output")
"""Options of `query` that do not choose images: they choose rows of results, or how to print them."""
_SHOWN = {
    "night": "night",
    "since": "arrived since",
    "until": "arrived before",
    "sources": "source",
    "modalities": "modality",
    "view_positions": "view",
    "manufacturers": "manufacturer",
    "station_names": "station",
    "labels": "label",
}
_OF_STATE = ("config", "state_dir", "database_url", "redis_url")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenImages:
    """The images that the options of a command choose."""

    settings: Settings
    wanted: ImageFilter
    numbers: Numbers
    description: str
    """The filters in words, except filters that name a patient, an order, a study or a file."""

    def filter(self, database: Database, tell: Callable[[str], None]) -> ImageFilter:
        """Return the filter, with the hashes of the patient or order that the options name.

        `tell` is called with sentences about the issuers of these numbers.
        """
        return self.numbers.add_to(self.wanted, database, self.settings, tell)


def with_filters(command: click.Command) -> click.Command:
    """Add to the command, before its own options, all options of `nightread query` that choose images."""
    own = {option.name for option in command.params}
    left_out = {*_OF_ROWS, *_OF_STATE, *own}
    command.params[:0] = [option for option in query_command.params if option.name not in left_out]
    return command


def chosen_images(options: dict[str, Any]) -> ChosenImages:
    """Return which images are chosen by the options of `with_filters` and `state_options`.

    Raises UsageFault if no filter is given, because people rarely want all images of a database.
    """
    filters = (value for name, value in options.items() if name not in _OF_STATE)
    if all(value in (None, (), False) for value in filters):
        raise UsageFault("Say which images: for example --night last, --since 2026-11-01 or --modality CR.")
    description = ", ".join(_in_words(name, options[name]) for name in _SHOWN if options.get(name))
    settings, wanted, numbers = wanted_images(options)
    return ChosenImages(settings=settings, wanted=wanted, numbers=numbers, description=description or "chosen images")


def _in_words(name: str, value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return f"{_SHOWN[name]} {' or '.join(map(str, values))}"
