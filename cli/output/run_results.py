"""Print the results of the images of one run."""

import json
import sys

from rich.console import Console

from api.export import json_line
from cli.output.image_table import show_images
from cli.output.summary import Summary
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from nightread.settings import Settings

_MOST_SHOWN = 20
"""Up to this many images are printed as a table; for more, the tally is easier to read, and `query` filters them."""


def show_results(console: Console, summary: Summary, database: Database, settings: Settings) -> None:
    """Print one line per image, if the run has at most _MOST_SHOWN images."""
    if 0 < summary.tally.arrived <= _MOST_SHOWN:
        show_images(console, database, ImageFilter(scope=summary.scope), settings)
        console.print()


def print_results_json(summary: Summary, database: Database) -> None:
    """Write the summary to standard output, with all images under `images`; they are streamed, one per line."""
    document = json.dumps(summary.to_json(), indent=2)
    sys.stdout.write(document.removesuffix("\n}") + ',\n  "images": [')
    separator = "\n    "
    for image in queries.images(database, ImageFilter(scope=summary.scope)):
        sys.stdout.write(separator + json_line(image))
        separator = ",\n    "
    sys.stdout.write("\n  ]\n}\n")
