"""Define `nightread trace`: show everything that happened to images, in chronological order."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from api.named_images import named_images
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.number_search import Numbers
from cli.inputs.options import settings_from, state_options
from cli.output.console import err, out, print_json
from cli.output.tables import COLOURS, NOT_FOR_DIAGNOSIS, make_table, show
from cli.wording import counted
from db import queries
from db.engine import Database
from db.queries import ImageFilter, ImageTrace
from nightread.errors import UsageFault
from nightread.nights import Nights, nights_of
from nightread.settings import Settings

_SHOWN = 20
_STYLES = {
    "outcome": "bold",
    "report_failed": "red",
    "superseded": "yellow",
    "replaced": "yellow",
    "withdrawn": "yellow",
    "conflict": "yellow",
    "purged": "yellow",
}


@click.command("trace")
@click.argument("name", required=False, metavar="[ID|PATH|UID]")
@click.option("--accession", help="AccessionNumber; it is hashed before the search.")
@click.option("--patient", help="PatientID; it is hashed before the search.")
@click.option(
    "--issuer",
    help="Issuer of the PatientID or AccessionNumber, '' for images that name no issuer [any issuer].",
)
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"Maximum number of images; 0: all [{_SHOWN}; with --json all]."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def trace_command(name: str | None, limit: int | None, as_json: bool, **options: Any) -> None:
    """Show everything that happened to an image, in chronological order.

    Name the image by its id, by its path or URL, or by a UID (of the image, its series or its study). A path means
    every file that ever had this path. Times are local times of the site; with --json they are in UTC.

    \b
    Examples: nightread trace 4711
              nightread trace /inbox/ct/IM0001.dcm
              nightread trace 1.2.826.0.1.3680043.8.498.1 --json
              nightread trace --accession A-2026-1234
    """  # noqa: D301 - click reads the backspace itself
    numbers = Numbers(patient=options.pop("patient"), accession=options.pop("accession"), issuer=options.pop("issuer"))
    if (name is not None) == numbers.given:
        raise UsageFault("Name the image: give an id, a path or a UID, or else --accession or --patient.")
    settings = settings_from(**options)
    most = limit if limit is not None else 0 if as_json else _SHOWN
    with open_existing_database(settings) as database, one_line_errors():
        found = _found(database, settings, name, numbers)
        traces = queries.trace(database, found[:most] if most else found)
    if as_json:
        print_json([_as_json(each) for each in traces])
        return
    nights = nights_of(settings)
    for each in traces:
        _show(each, nights)
    _show_end(traces, len(found), settings)


def _found(database: Database, settings: Settings, name: str | None, numbers: Numbers) -> Sequence[int]:
    if name is not None:
        return named_images(database, settings, name)
    wanted = numbers.add_to(ImageFilter(), database, settings, lambda note: err.print(note, style="yellow"))
    found = queries.image_ids(database, wanted)
    if not found:
        raise UsageFault("No image has this number. Images whose header was not read yet are found by path only.")
    return found


def _as_json(trace: ImageTrace) -> dict[str, Any]:
    """Return the trace with stable names, for programs; absent values are null, and times are in UTC."""
    return {**asdict(trace), "events": [_event_json(asdict(event)) for event in trace.events]}


def _event_json(event: dict[str, Any]) -> dict[str, Any]:
    values = {name: _in_utc(value) for name, value in event["values"].items()}
    return {**event, "at": _in_utc(event["at"]), "values": values}


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _show(trace: ImageTrace, nights: Nights) -> None:
    out.print(
        Text.assemble(
            (f"image {trace.image_id}", "bold"),
            "  ",
            (trace.state, COLOURS.get(trace.state, "")),
            f"  {trace.uri or '(purged)'}" + (f" ({trace.member_name})" if trace.member_name else ""),
        )
    )
    table = make_table(out, "time", "what", "detail")
    for event in trace.events:
        time = f"{nights.local(event.at):%Y-%m-%d %H:%M:%S}" if event.at else ""
        words = Text(event.what.replace("_", " "), style=_STYLES.get(event.what, ""))
        table.add_row(time, words, event.detail)
    show(out, table)
    for sentence in trace.not_kept:
        out.print(sentence, style="dim")
    out.print("")


def _show_end(traces: Sequence[ImageTrace], found: int, settings: Settings) -> None:
    if len(traces) < found:
        out.print(f"The first {counted(len(traces), 'image')} of {found:,}: --limit 0 shows all.")
    if settings.not_for_diagnosis:
        out.print(NOT_FOR_DIAGNOSIS, style="italic")
