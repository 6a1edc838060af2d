"""Print the results of the images and series of one run."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from api.export import json_line
from api.series_rows import series_row
from cli.output.hints import state_option
from cli.output.image_table import show_images
from cli.output.series_table import show_series
from cli.output.summary import Summary
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from nightread.settings import Settings

_MOST_SHOWN = 20
"""Images are printed as a table if there are at most this many. For more images the tally is easier to read.

At most this many results of series are printed.
"""


def show_results(console: Console, summary: Summary, database: Database, settings: Settings) -> None:
    """Print one line per image if there are at most _MOST_SHOWN images, and at most _MOST_SHOWN results of series."""
    found = list(queries.series_list(database, scope=summary.scope, limit=_MOST_SHOWN + 1))
    if 0 < summary.tally.arrived <= _MOST_SHOWN:
        show_images(console, database, ImageFilter(scope=summary.scope), settings, is_last=not found)
        console.print()
    if found:
        listed = f"`nightread query{state_option(settings)} --series --limit 0`"
        show_series(console, iter(found), _MOST_SHOWN, settings, shows_all=listed)
        console.print()


def print_results_json(summary: Summary, database: Database) -> None:
    """Write the summary as JSON to standard output, with all `series` and all `images`: one line each, streamed."""
    sys.stdout.write(json.dumps(summary.to_json(), indent=2).removesuffix("\n}"))
    _write_list("series", (series_row(each) for each in queries.series_list(database, scope=summary.scope)))
    _write_list("images", queries.images(database, ImageFilter(scope=summary.scope)))
    sys.stdout.write("\n}\n")


def _write_list(name: str, rows: Iterable[dict[str, Any]]) -> None:
    sys.stdout.write(f',\n  "{name}": [')
    separator = "\n    "
    for row in rows:
        sys.stdout.write(separator + json_line(row))
        separator = ",\n    "
    sys.stdout.write("\n  ]")
