"""Show series with their results as a table."""

from collections.abc import Iterator
from itertools import islice

from rich.console import Console
from rich.text import Text

from cli.output.tables import COLOURS, NOT_FOR_DIAGNOSIS, make_table, show
from cli.wording import counted
from db.ledger.series_values import SeriesState
from db.queries import Series
from db.tables import State
from nightread.settings import Settings

_MOST_NAMED = 5
_LEGEND = "slices: slices with a score, of all that arrived. evidence: slices that support the label, by number."


def show_series(
    console: Console,
    found: Iterator[Series],
    limit: int | None,
    settings: Settings,
    *,
    shows_all: str = "--limit 0",
    is_last: bool = True,
) -> None:
    """Print a table of series, or a line if there are no series.

    `shows_all` is the option or command that prints all rows. Pass `is_last=False` if another table with results
    follows: then the note `Not for diagnosis.` is printed after that table.
    """
    right = ("score", "slices", "revision")
    headings = ("series", "stack", "result", "score", "slices", "evidence", "model", "revision", "remarks")
    table = make_table(console, *headings, right=right)
    for each in islice(found, limit):
        table.add_row(*_cells(each))
    if not table.row_count:
        console.print(
            "No series matches. A series is listed once one of its images was analysed by a bundle that has "
            '`unit = "series"`.'
        )
        return
    show(console, table)
    console.print(_LEGEND, style="dim")
    if is_last and settings.not_for_diagnosis:
        console.print(NOT_FOR_DIAGNOSIS, style="italic")
    if next(found, None) is not None:
        console.print(f"The latest {counted(table.row_count, 'row')} of a longer list: {shows_all} shows all.")


def _cells(each: Series) -> Iterator[str | Text]:
    state = each.state or each.series_state
    yield each.series_instance_uid
    yield each.stack_name or ("" if not each.stack else str(each.stack))
    without_label = "no label" if state == State.DONE else state
    yield Text(each.label or each.reason or without_label, style=COLOURS.get(state, ""))
    yield "" if each.score is None else f"{each.score:.4f}"
    yield each.coverage + (" partial" if each.partial else "")
    yield _evidence(each)
    yield f"{each.model}@{each.model_version}" if each.model else ""
    yield "" if each.revision is None else str(each.revision)
    yield " ".join([*_changes(each), *(["shadow"] if each.shadow else []), *each.remarks])


def _evidence(each: Series) -> str:
    named = [str(speaking.place) for speaking in each.evidence[:_MOST_NAMED]]
    more = len(each.evidence) - len(named)
    return " ".join(named) + (f" +{more}" if more else "")


def _changes(each: Series) -> list[str]:
    """Return why a result is of an earlier revision: its series is changing, or could not be formed again."""
    if not each.state or each.series_state == SeriesState.FORMED:
        return []
    is_failed = each.series_state == SeriesState.FAILED
    return [each.reason if is_failed and each.label and each.reason else each.series_state]
