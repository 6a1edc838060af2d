"""Print tables and numbers for people: with lines on a terminal, as plain columns in a pipe."""

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from types import MappingProxyType
from typing import Any, Literal

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output.console import PlainConsole, cell
from db.queries import Tally
from imaging.remarks import Remark
from nightread.reasons import Reason
from nightread.wording import per_second

NOT_FOR_DIAGNOSIS = "Not for diagnosis."
COLOURS = {
    "done": "green",
    "failed": "red",
    "rejected": "yellow",
    "waiting": "cyan",
    "queued": "cyan",
    "running": "cyan",
}
SENTENCES = {reason.value: reason.message for reason in Reason}
_OF_REMARKS = {remark.value: remark.message for remark in Remark}

Reasons = Sequence[tuple[str, str, str, int]]
"""One tuple per state and reason: state, reason, class of the reason, number of images."""
Remarks = Mapping[str, int]
"""Number of done images by remark."""
NO_REMARKS: Remarks = MappingProxyType({})


class _PlainTable(Table):
    """A table whose cells are plain text: without markup, control characters and line breaks."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(cell(each) if isinstance(each, str | Text) else each for each in cells), **options)


def make_table(console: Console, *headings: str, right: Iterable[str] = (), **options: Any) -> Table:
    """Make an empty table; the columns named in `right` are right-aligned."""
    table = _PlainTable(
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0) if console.is_terminal else (0, 2, 0, 0),
        header_style="bold",
        **options,
    )
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        table.add_column(cell(heading), justify=justify, overflow="fold")
    return table


def show(console: Console, renderable: RenderableType) -> None:
    """Print a table: on a terminal folded to its width, in a pipe or file with long lines."""
    if console.is_terminal:
        console.print(renderable, soft_wrap=False)
        return
    plain = StringIO()
    PlainConsole(file=plain, width=_ENDLESS).print(renderable)
    for line in plain.getvalue().removesuffix("\n").split("\n"):
        console.out(line.rstrip(), highlight=False)


def show_tally(
    console: Console,
    tally: Tally,
    *,
    reasons: Reasons = (),
    remarks: Remarks = NO_REMARKS,
    rate_per_second: float | None = None,
) -> None:
    """Print the number of files by state, reason and remark, and the rate."""
    show(console, tally_table(console, tally, reasons, remarks))
    if rate_per_second:
        console.print(per_second(rate_per_second))


def tally_table(console: Console, tally: Tally, reasons: Reasons = (), remarks: Remarks = NO_REMARKS) -> Table:
    """Make a table with one line per state and its reasons or remarks below.

    States in _RARE are left out if they are empty.
    """
    below = [(state, reason, images, SENTENCES.get(reason, "")) for state, reason, _, images in reasons]
    below += [("done", remark, images, _OF_REMARKS.get(remark, "")) for remark, images in remarks.items()]
    table = make_table(console, "", "images", "", right=["images"], show_header=False)
    for state in ("done", "duplicate", "rejected", "failed", "expanded", "waiting", "queued", "running"):
        images = getattr(tally, state)
        if images or state not in _RARE:
            table.add_row(Text(state, style=COLOURS.get(state, "") if images else "dim"), f"{images:,}", "")
        for _, word, of_word, sentence in (entry for entry in below if entry[0] == state):
            table.add_row(
                Text(f"  {word}", style="dim"), Text(f"{of_word:,}", style="dim"), Text(sentence, style="dim")
            )
    table.add_section()
    table.add_row(Text("arrived", style="bold"), Text(f"{tally.arrived:,}", style="bold"), "")
    return table


_ENDLESS = 100_000
_RARE = ("expanded", "queued", "running")
