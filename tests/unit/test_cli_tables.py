"""Tables and numbers for people."""

from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from cli.output.tables import make_table, show, show_tally
from cli.wording import counted
from db.queries import Tally
from nightread.wording import duration, per_second


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 05 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_a_duration_has_two_figures(seconds: float, text: str) -> None:
    """The value is rounded before it is divided, so that `60 s` never appears."""
    assert duration(seconds) == text


def test_a_slow_rate_has_a_decimal() -> None:
    """Half an image per second is not shown as zero."""
    assert (per_second(0.52), per_second(1234.5)) == ("0.5 images per second", "1,234 images per second")


def test_a_number_is_followed_by_singular_or_plural() -> None:
    """An irregular plural is given."""
    assert (counted(1, "image"), counted(1200, "image")) == ("1 image", "1,200 images")
    assert (counted(0, "study", "studies"), counted(1, "study", "studies")) == ("0 studies", "1 study")


def test_a_pipe_gets_whole_lines_without_colour_or_frame() -> None:
    """Long cells are not folded, and markup in a file name is printed as text."""
    stream = StringIO()
    console = Console(file=stream, width=20)
    table = make_table(console, "file")
    table.add_row(Text("/a/[red]" + 300 * "x"))

    show(console, table)

    assert stream.getvalue() == "file\n/a/[red]" + 300 * "x" + "\n"


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_no_line_wider_than_itself(width: int) -> None:
    """The longest sentence of a reason is folded."""
    stream = StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    reasons = [("rejected", "symlink", "out_of_scope", 1_000_000)]

    show_tally(console, Tally(arrived=1_000_000, rejected=1_000_000), reasons=reasons, rate_per_second=12.0)

    assert "1,000,000" in stream.getvalue()
    assert max(len(line) for line in stream.getvalue().splitlines()) <= width


def test_the_tally_leaves_out_states_that_are_rare_and_empty() -> None:
    """The usual outcomes are shown even if they are zero, because `failed 0` is information."""
    stream = StringIO()

    show_tally(Console(file=stream), Tally(arrived=1, done=1))

    assert "failed" in stream.getvalue()
    assert "expanded" not in stream.getvalue()
