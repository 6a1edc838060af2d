"""Print images as a table."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.inputs.nights import Nights, nights_of
from cli.output.tables import COLOURS, NOT_FOR_DIAGNOSIS, make_table, show
from cli.wording import counted
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from db.tables import State
from nightread.settings import Settings

_PAGE = 1000
"""Rows per table: columns are aligned within one table, and a longer list is several tables."""


def show_images(console: Console, database: Database, wanted: ImageFilter, settings: Settings) -> None:
    """Print one line per image with its result or the reason why it has none."""
    nights = nights_of(settings)
    with_next = replace(wanted, limit=wanted.limit + 1) if wanted.limit else wanted
    rows = queries.images(database, with_next)
    shown = 0
    while page := list(islice(rows, min(_PAGE, wanted.limit - shown) if wanted.limit else _PAGE)):
        show(console, _table(console, page, wanted, nights))
        shown += len(page)
    if shown == 0:
        console.print("No image matches.")
        return
    if settings.not_for_diagnosis:
        console.print(NOT_FOR_DIAGNOSIS, style="italic")
    if wanted.limit and next(rows, None) is not None:
        console.print(
            f"The first {counted(shown, 'image')} of a longer list: --limit 0 shows all, -o FILE.csv exports them."
        )


def _table(console: Console, page: list[dict[str, Any]], wanted: ImageFilter, nights: Nights) -> Table:
    """Make the table; on a terminal the file path is shortened so that no line wraps."""
    with_model = bool(wanted.models) or wanted.shadow
    with_remarks = any(row["remarks"] for row in page)
    cells = [
        list(_cells(row, nights, per_frame=wanted.per_frame, model=with_model, remarks=with_remarks)) for row in page
    ]
    optional = [*(["frame"] if wanted.per_frame else []), *(["model"] if with_model else [])]
    headings = ["image", *optional, "state", "result", "score", *(["remarks"] if with_remarks else [])]
    headings += ["modality", "arrived"]
    without_file = make_table(console, *headings, right=_NUMBERS)
    table = make_table(console, *headings, "file", right=_NUMBERS)
    for row in cells:
        without_file.add_row(*row)
    left = console.width - console.measure(without_file).maximum - _GAP
    for row, image in zip(cells, page, strict=True):
        uri = _shortened(image["uri"], max(left, _LEAST)) if console.is_terminal else image["uri"]
        table.add_row(*row, Text(uri))
    for column in table.columns:
        column.no_wrap = True
    return table


def _cells(row: dict[str, Any], nights: Nights, *, per_frame: bool, model: bool, remarks: bool) -> Iterator[Text]:
    yield Text(str(row["image_id"]))
    if per_frame:
        yield Text("" if row["frame"] is None else str(row["frame"]))
    if model:
        yield Text(f"{row['model']}@{row['model_version']}")
    yield Text(row["state"], style=COLOURS.get(row["state"], ""))
    yield Text(_result(row))
    yield Text("" if row["score"] is None else f"{row['score']:.3f}")
    if remarks:
        yield Text(", ".join(row["remarks"] or ()), style="yellow")
    yield Text(row["modality"] or "")
    yield Text(f"{nights.local(row['received_at']):%d %b %H:%M}")


def _result(row: dict[str, Any]) -> str:
    if row["duplicate_of"] is not None:
        return f"same as {row['duplicate_of']}"
    if row["withdrawn_code"] is not None:
        return f"withdrawn ({row['withdrawn_code']})"
    found: str = (row["detail"] if row["state"] == State.EXPANDED else row["label"] or row["reason"]) or ""
    return found if row["replaced_by"] is None else f"{found}, replaced by {row['replaced_by']}"


def _shortened(uri: str, width: int) -> str:
    """Cut the beginning of the path: its end identifies the file."""
    return uri if len(uri) <= width else f"…{uri[1 - width :]}"


_NUMBERS = ("image", "frame", "score")
_GAP = 3
_LEAST = 12
