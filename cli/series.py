"""List series with their results, evidence and coverage."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from api.export import export_rows
from api.series_rows import SERIES_COLUMNS, flat_series_row, series_row
from cli.inputs.number_search import Numbers
from cli.output.series_table import show_series
from cli.wording import counted
from db import queries
from db.engine import Database
from db.queries import ImageFilter, Series, SeriesCounts
from nightread.errors import UsageFault
from nightread.settings import Settings

ALL_SERIES = "*"
"""The value of `--series` without a UID."""
_LISTED = "`nightread query --series`"
_AGAIN = "the worker's log names the error, and `nightread retry --failed` tries again"
_FLAT = ("csv", "parquet")


def require_only_series_times(wanted: ImageFilter, numbers: Numbers) -> None:
    """Raise UsageFault for conditions on images, because whole series are listed."""
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


def show_series_of_images(
    console: Console, database: Database, series_instance_uid: str | None, settings: Settings
) -> bool:
    """Print the results of one series, if it has any, above the list of its images. Returns whether it has results."""
    if not series_instance_uid:
        return False
    found = list(queries.series_list(database, series_instance_uid=series_instance_uid))
    if found:
        show_series(console, iter(found), None, settings, is_last=False)
    return bool(found)


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
