"""List series with their results, evidence and coverage."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from api.export import export_rows
from api.series_rows import SERIES_COLUMNS, flat_series_row, series_row
from cli.inputs.number_search import Numbers
from cli.output.tables import COLOURS, make_table, show
from cli.wording import counted
from db import queries
from db.engine import Database
from db.queries import ImageFilter, Series, SeriesCounts
from nightread.errors import UsageFault
from nightread.settings import Settings

ALL_SERIES = "*"
"""The value of `--series` without a UID."""
_MOST_NAMED = 5
_LISTED = "`nightread query --series`"
_AGAIN = "the worker's log names the error, and `nightread retry --failed` tries again"
_FLAT = ("csv", "parquet")
_LEGEND = "slices: those with a score, of those that arrived. evidence: places of the slices that speak for the label."


def require_only_series_times(wanted: ImageFilter, numbers: Numbers) -> None:
    """Raise UsageFault for conditions on images, because a series has one result."""
    allowed = replace(
        ImageFilter(),
        since=wanted.since,
        until=wanted.until,
        study_instance_uid=wanted.study_instance_uid,
        limit=wanted.limit,
    )
    if wanted != allowed or numbers.given:
        raise UsageFault(
            "--series without a UID lists whole series: use --study, --since, --until, --night and --limit only."
        )


def list_series(
    console: Console, database: Database, wanted: ImageFilter, style: str, output: Path | None, settings: Settings
) -> None:
    """Print or export one row per stack and bundle of each series, the latest first."""
    found = queries.series_list(
        database,
        since=wanted.since,
        until=wanted.until,
        study_instance_uid=wanted.study_instance_uid,
        limit=wanted.limit + 1 if wanted.limit and style == "table" else wanted.limit,
    )
    if style == "table":
        show_series(console, found, wanted.limit, settings)
    else:
        row = flat_series_row if style in _FLAT else series_row
        export_rows((row(each) for each in found), SERIES_COLUMNS, style, output)


def show_series(console: Console, found: Iterator[Series], limit: int | None, settings: Settings) -> None:
    """Print a table of series, or a line if there is none."""
    right = ("score", "slices", "revision")
    headings = ("series", "stack", "result", "score", "slices", "evidence", "model", "revision", "remarks")
    table = make_table(console, *headings, right=right)
    for each in islice(found, limit):
        table.add_row(*_cells(each))
    if not table.row_count:
        console.print(
            "No series matches. A series is listed when a bundle with unit series analysed one of its images."
        )
        return
    show(console, table)
    console.print(_LEGEND, style="dim")
    if settings.not_for_diagnosis:
        console.print("Not for diagnosis.", style="dim")
    if next(found, None) is not None:
        console.print(f"The latest {counted(table.row_count, 'row')} of a longer list: --limit 0 shows all.")


def show_series_of_images(console: Console, database: Database, series_instance_uid: str, settings: Settings) -> None:
    """Print the results of one series above the list of its images, if it has any."""
    found = list(queries.series_list(database, series_instance_uid=series_instance_uid))
    if found:
        show_series(console, iter(found), None, settings)


def series_lines(counts: SeriesCounts) -> Iterator[tuple[str, str]]:
    """Yield the lines about series for `status`, each with its style."""
    if counts.unformed:
        slices = counted(counts.waiting_slices, "slice waits", "slices wait")
        waiting = f"; {slices} for the order of their series" if counts.waiting_slices else ""
        yield f"Series that wait for slices or are being formed: {counts.unformed:,}{waiting} ({_LISTED}).", ""
    if counts.failed:
        yield f"Series that could not be formed: {counts.failed:,} ({_LISTED}); {_AGAIN}.", "yellow"


def series_words(each: Series) -> str:
    """Return the result of a series in a few words, such as `nodule 0.93 (412 of 412)`."""
    if each.state is None or each.state != "done":
        return each.reason or each.series_state
    partial = ", partial" if each.partial else ""
    return f"{each.label or 'no label'} {each.score:.2f} ({each.coverage}{partial})"


def _cells(each: Series) -> Iterator[str | Text]:
    state = each.state or each.series_state
    yield each.series_instance_uid
    yield each.stack_name or ("" if not each.stack else str(each.stack))
    yield Text(each.label or each.reason or state, style=COLOURS.get(state, ""))
    yield "" if each.score is None else f"{each.score:.4f}"
    yield each.coverage + (" partial" if each.partial else "")
    yield _evidence(each)
    yield f"{each.model}@{each.model_version}" if each.model else ""
    yield "" if each.revision is None else str(each.revision)
    changing = [each.series_state] if each.state and each.series_state != "formed" else []
    yield " ".join([*changing, *(["shadow"] if each.shadow else []), *each.remarks])


def _evidence(each: Series) -> str:
    named = [str(speaking.place) for speaking in each.evidence[:_MOST_NAMED]]
    more = len(each.evidence) - len(named)
    return " ".join(named) + (f" +{more}" if more else "")
