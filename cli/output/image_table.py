"""Print images as a table."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.output.tables import COLOURS, NOT_FOR_DIAGNOSIS, make_table, show
from cli.wording import counted
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from db.tables import State
from nightread.nights import Nights, nights_of
from nightread.settings import Settings

_PAGE = 1000
"""Maximum number of rows of one table. A longer list is printed as several tables, each with its own column widths."""


def show_images(
    console: Console,
    database: Database,
    wanted: ImageFilter,
    settings: Settings,
    *,
    is_first: bool = True,
    is_last: bool = True,
) -> None:
    """Print one line per image with its result or the reason why it has none.

    Of several tables with results, the last one is followed by the note `Not for diagnosis.` Pass `is_last=False` if
    another table follows. Pass `is_first=False` if this table is not the first: then the note is printed even if no
    image matches.
    """
    nights = nights_of(settings)
    with_next = replace(wanted, limit=wanted.limit + 1) if wanted.limit else wanted
    rows = queries.images(database, with_next)
    shown = 0
    while page := list(islice(rows, min(_PAGE, wanted.limit - shown) if wanted.limit else _PAGE)):
        show(console, _table(console, page, wanted, nights))
        shown += len(page)
    if shown == 0:
        console.print("No image matches.")
    if is_last and (shown or not is_first) and settings.not_for_diagnosis:
        console.print(NOT_FOR_DIAGNOSIS, style="italic")
    if wanted.limit and next(rows, None) is not None:
        console.print(
            f"The first {counted(shown, 'image')} of a longer list: --limit 0 shows all, -o FILE.csv exports them."
        )


def _table(console: Console, page: list[dict[str, Any]], wanted: ImageFilter, nights: Nights) -> Table:
    """Make the table of images.

    On a terminal no line wraps: the path is shortened. If too little room is left for the path, columns in
    _DISPENSABLE are left out.
    """
    with_model = bool(wanted.models) or wanted.shadow
    with_remarks = any(row["remarks"] for row in page)
    shown = {"per_frame": wanted.per_frame, "model": with_model, "remarks": with_remarks}
    cells = [dict(_cells(row, nights, **shown, conflict=bool(wanted.conflict))) for row in page]
    headings = _fitting(console, list(cells[0]), cells)
    left = console.width - _width(console, headings, cells) - _GAP
    table = make_table(console, *headings, "file", right=_NUMBERS)
    for row, image in zip(cells, page, strict=True):
        place = _place(image)
        uri = _shortened(place, max(left, _LEAST)) if console.is_terminal else place
        table.add_row(*(row[heading] for heading in headings), Text(uri))
    for column in table.columns:
        column.no_wrap = True
    return table


def _fitting(console: Console, headings: list[str], cells: list[dict[str, Text]]) -> list[str]:
    """Return the headings for which the terminal has room."""
    for dispensable in _DISPENSABLE if console.is_terminal else ():
        if _width(console, headings, cells) + _GAP + _LEAST > console.width:
            headings = [heading for heading in headings if heading != dispensable]
    return headings


def _width(console: Console, headings: list[str], cells: list[dict[str, Text]]) -> int:
    """Return the width of a table with these columns on a screen of unlimited width."""
    table = make_table(console, *headings, right=_NUMBERS)
    for row in cells:
        table.add_row(*(row[heading] for heading in headings))
    return console.measure(table, options=console.options.update(width=_ENDLESS)).maximum


def _cells(
    row: dict[str, Any], nights: Nights, *, per_frame: bool, model: bool, remarks: bool, conflict: bool
) -> Iterator[tuple[str, Text]]:
    """Yield heading and cell of each column except the file."""
    yield "image", Text(str(row["image_id"]))
    if per_frame:
        yield "frame", Text("" if row["frame"] is None else str(row["frame"]))
    if model:
        yield "model", Text(f"{row['model']}@{row['model_version']}")
    yield "state", Text(row["state"], style=COLOURS.get(row["state"], ""))
    yield "result", Text(_result(row))
    yield "score", Text("" if row["score"] is None else f"{row['score']:.3f}")
    if conflict:
        yield "from", Text(row["sender"] or row["source"])
        yield "contested by", Text(row["contested_by"] or "", style="yellow")
    if remarks:
        yield "remarks", Text(", ".join(row["remarks"] or ()), style="yellow")
    yield "modality", Text(row["modality"] or "")
    yield "arrived", Text(f"{nights.local(row['received_at']):%d %b %H:%M}")


def _place(row: dict[str, Any]) -> str:
    """Return the path; for a member of an archive also its name there, which differs from the name in the spool."""
    if row["purged_at"] is not None:
        return "(purged)"
    return row["uri"] if row["member_name"] is None else f"{row['uri']} ({row['member_name']})"


def _result(row: dict[str, Any]) -> str:
    if row["duplicate_of"] is not None:
        return f"same as {row['duplicate_of']}"
    if row["withdrawn_code"] is not None:
        return f"withdrawn ({row['withdrawn_code']})"
    found = (_unpacked(row) if row["state"] == State.EXPANDED else row["label"] or row["reason"]) or ""
    if row["replaced_by"] is not None:
        found = f"{found}, replaced by {row['replaced_by']}"
    is_contested = row["conflict_with"] is not None and row["superseded_by"] is None
    return f"{found}, in conflict with {row['conflict_with']}" if is_contested else found


def _unpacked(row: dict[str, Any]) -> str:
    """Return the first two words of the detail of an archive: `2 files` of `2 files were unpacked from the archive.`"""
    return " ".join((row["detail"] or "").split()[:2])


def _shortened(uri: str, width: int) -> str:
    """Cut off the beginning of the path, because its end identifies the file."""
    return uri if len(uri) <= width else f"…{uri[1 - width :]}"


_NUMBERS = ("image", "frame", "score")
_DISPENSABLE = ("modality", "arrived", "score")
_GAP = 3
_LEAST = 12
_ENDLESS = 10_000
