"""List studies with their numbers of images and whether they are complete."""

from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from api.export import export_rows
from cli.inputs.number_search import Numbers
from cli.output.tables import make_table, show
from cli.series import series_words
from cli.wording import counted
from db import queries
from db.engine import Database
from db.queries import Completeness, ImageFilter, Study, StudyCounts
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.settings import Settings

COLUMNS = (*(field.name for field in fields(Study)), "told_by", "series_results")
"""Stable column names, in this order. `told_by` is the old name of `reported_by` and is removed in release 0.2."""
_NUMBERS = ("images", "done", "no result", "withdrawn")
_COLOURS = {Completeness.COMPLETE: "green", Completeness.INCOMPLETE: "bold yellow", Completeness.ARRIVING: "cyan"}
_LEGEND = (
    "complete, incomplete: compared with the expected number from the store, a manifest or the headers. "
    "quiet: expected number unknown, and no new image for a while."
)


def require_only_times(wanted: ImageFilter, numbers: Numbers) -> None:
    """Raise UsageFault for conditions on images, because a study is counted as a whole."""
    allowed = replace(
        ImageFilter(),
        since=wanted.since,
        until=wanted.until,
        study_instance_uid=wanted.study_instance_uid,
        limit=wanted.limit,
    )
    if wanted != allowed or numbers.given:
        raise UsageFault("--studies counts whole studies: use --study, --since, --until, --night and --limit only.")


def list_studies(
    console: Console, database: Database, wanted: ImageFilter, style: str, output: Path | None, settings: Settings
) -> None:
    """Print or export one row per study, the latest first."""
    found = queries.studies(
        database,
        now=utc_now(),
        since=wanted.since,
        until=wanted.until,
        study_instance_uid=wanted.study_instance_uid,
        limit=wanted.limit + 1 if wanted.limit and style == "table" else wanted.limit,
    )
    if style == "table":
        _show(console, database, found, wanted.limit, settings)
    else:
        rows = (_row(study) | {"series_results": _series(database, study)} for study in found)
        export_rows(rows, COLUMNS, style, output)


def study_lines(counts: StudyCounts, withdrawn: int) -> Iterator[tuple[str, str]]:
    """Yield the lines about studies for `status`, each with its style."""
    known = counts.complete + counts.incomplete
    if known:
        missing = f", {counts.incomplete:,} incomplete (`nightread query --studies`)" if counts.incomplete else ""
        yield f"Studies with an expected number: {counts.complete:,} complete{missing}.", "yellow" if missing else ""
    if withdrawn:
        yield f"Withdrawn by key object notes: {counted(withdrawn, 'image')} (`nightread query --withdrawn`).", ""


def _row(study: Study) -> dict[str, Any]:
    values = asdict(study) | {"told_by": study.reported_by}
    return {name: _utc(value) if isinstance(value, datetime) else value for name, value in values.items()}


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _series(database: Database, study: Study) -> list[str]:
    """Return the results of the series of a study, in a few words each."""
    found = queries.series_list(database, study_instance_uid=study.study_instance_uid)
    return [series_words(each) for each in found]


def _show(console: Console, database: Database, found: Iterator[Study], limit: int | None, settings: Settings) -> None:
    nights = nights_of(settings)
    table = make_table(console, "study", *_NUMBERS, "latest", "completeness", "series", right=_NUMBERS)
    for study in islice(found, limit):
        numbers = (study.images, study.done, study.no_result, study.withdrawn)
        latest = f"{nights.local(study.last_arrival):%d %b %H:%M}" if study.last_arrival else ""
        words = Text(study.words, style=_COLOURS.get(study.completeness, ""))
        table.add_row(
            study.study_instance_uid,
            *(f"{number:,}" for number in numbers),
            latest,
            words,
            "; ".join(_series(database, study)),
        )
    if not table.row_count:
        console.print("No study matches.")
        return
    show(console, table)
    console.print(_LEGEND, style="dim")
    if next(found, None) is not None:
        studies = counted(table.row_count, "study", "studies")
        console.print(f"The latest {studies} of a longer list: --limit 0 shows all, -o FILE.csv exports them.")
