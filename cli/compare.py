"""Define `nightread compare`: compare the results of two models for the same images."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click

from api.export import export_rows
from cli.comparing.results import Compared, compare_stored
from cli.comparing.tables import show_compared
from cli.filters import ChosenImages, chosen_images, with_filters
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import state_options
from cli.inputs.user import user_name
from cli.output.console import err, out, print_json
from cli.output.tables import NOT_FOR_DIAGNOSIS
from db import ledger
from db.engine import Database
from models.comparison.values import Flip
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.hardware import quiet_tensorflow

_PICTURES = 12
_FLIP_NAMES = tuple(field.name for field in fields(Flip))


@with_filters
@click.command("compare")
@click.argument("first", metavar="OLD")
@click.argument("second", metavar="NEW")
@click.option("--format", "style", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PAGE.html",
    help="Also write an HTML page, with pictures and the heat maps of both models.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=0),
    default=_PICTURES,
    show_default=True,
    help="Number of images with pictures on the page; the images with the largest change come first.",
)
@state_options
def compare_command(first: str, second: str, style: str, output: Path | None, pictures: int, **options: Any) -> None:
    """Compare the results of two models for the same images.

    OLD and NEW are models that have results, as NAME[@VERSION]. All results count: answers, further results and shadow
    results, also those of `nightread rerun`. Only images with a result of both models are compared. With imported
    labels (`nightread labels import`) the areas under the ROC curves are compared too.

    CSV lists the images with different labels, the largest change first; JSON has all figures.

    \b
    Examples: nightread compare chest@2.0 chest@2.1 --night last
              nightread compare chest@2.0 chest@2.1 --since 2026-11-01 --modality CR -o comparison.html
              nightread compare chest@2.0 chest@2.1 --night last --format csv > flips.csv
    """  # noqa: D301 - click reads the backspace itself
    quiet_tensorflow()
    chosen = chosen_images(options)
    with open_existing_database(chosen.settings) as database, one_line_errors():
        wanted = chosen.filter(database, _tell)
        compared = compare_stored(database, wanted, first, second)
        if output is not None:
            _write_page(output, compared, database, chosen, pictures)
    comparison = compared.comparison
    if style == "json":
        print_json({**comparison.to_json(), "only_first": compared.only_first, "only_second": compared.only_second})
    elif style == "csv":
        export_rows((asdict(flip) for flip in comparison.flips), _FLIP_NAMES, "csv", None)
    else:
        show_compared(compared)
        if chosen.settings.not_for_diagnosis:
            out.print(NOT_FOR_DIAGNOSIS, style="italic")
    if output is not None:
        err.print(f"Written: {output}", markup=False)


def _write_page(output: Path, compared: Compared, database: Database, chosen: ChosenImages, pictures: int) -> None:
    """Write the page, and note in the audit table which images were drawn on it. Raises UsageFault on OSError."""
    from cli.comparing.pictures import flip_pictures  # noqa: PLC0415 - loads OpenCV and the networks
    from models.comparison.page import comparison_page  # noqa: PLC0415 - needs Jinja, and tables do not

    of, settings = compared.comparison, chosen.settings
    drawn = flip_pictures(database, settings, (of.first, of.second), of.flips[:pictures])
    page = comparison_page(
        of,
        chosen=chosen.description,
        pictures=drawn,
        only_first=compared.only_first,
        only_second=compared.only_second,
        not_for_diagnosis=settings.not_for_diagnosis,
    )
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageFault(
            f"{output} cannot be written ({type(error).__name__}): choose another file with -o."
        ) from error
    if drawn:
        detail = {"images": sorted(drawn), "models": [of.first.reference, of.second.reference]}
        ledger.write_entry(database, "images.compare", detail, actor=user_name(), now=utc_now())


def _tell(note: str) -> None:
    err.print(note, markup=False, style="yellow")
