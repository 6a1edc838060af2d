"""Printed lines and tables hold no markup and no control character of others."""

from collections.abc import Callable
from io import StringIO

import pytest
from hostile_texts import HOSTILE, UNSAFE
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cli.output.console import PlainConsole
from cli.output.tables import make_table, show
from nightread.plain_text import visible

EXITS: dict[str, Callable[[Console, str], object]] = {
    "line": lambda console, text: console.print(text),
    "styled line": lambda console, text: console.print(Text(text, style="red")),
    "line with a style": lambda console, text: console.print(text, style="yellow", markup=False),
    "assembled": lambda console, text: console.print(Text.assemble(("source ", "bold"), text)),
    "group": lambda console, text: show(console, Group(Text(visible(text)), Text("next"))),
    "plain out": lambda console, text: console.out(text),
    "cell": lambda console, text: _show_table(console, text, ""),
    "styled cell": lambda console, text: _show_table(console, text, "green"),
}


def _show_table(console: Console, text: str, style: str) -> None:
    table = make_table(console, text, "number", right=("number",))
    table.add_row(Text(text, style=style) if style else text, "1")
    show(console, table)


def _console(stream: StringIO, *, terminal: bool) -> PlainConsole:
    return PlainConsole(file=stream, width=400, soft_wrap=True, force_terminal=terminal, color_system=None)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("write", EXITS.values(), ids=EXITS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_exit_shows_hostile_text_as_text(
    text: str, write: Callable[[Console, str], object], terminal: bool
) -> None:
    """Nothing is interpreted: the text is there, with escapes, on a line of its own. (Rich's Text drops some codes.)"""
    stream = StringIO()

    write(_console(stream, terminal=terminal), text)

    lines = stream.getvalue().split("\n")
    assert not UNSAFE.search(stream.getvalue())
    assert any(visible(text) in line or visible(Text(text).plain) in line for line in lines)
    assert not any(line.startswith("error: forged") for line in lines)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_group_of_raw_texts_controls_no_terminal(text: str) -> None:
    """The console is the last guard: what was not made harmless before is made so while it is rendered."""
    stream = StringIO()
    console = _console(stream, terminal=True)

    with Live(console=console, auto_refresh=False) as live:
        live.update(Group(Text(text), Text("next")))
    for own in ("\x1b[?25l", "\x1b[?25h", "\x1b[1A\x1b[2K", "\r\x1b[2K", "\x1b[1B"):
        assert visible(own) not in stream.getvalue()

    console = _console(again := StringIO(), terminal=False)
    console.print(Group(Text(text), Text("next")))
    assert not UNSAFE.search(again.getvalue())


def test_the_headings_of_a_table_are_text_too() -> None:
    """A label may be the heading of a column."""
    stream = StringIO()
    console = _console(stream, terminal=False)
    table = make_table(console, "[/red]\x1b[1m", "b\nc")
    table.add_row("1", "2")

    show(console, table)

    assert stream.getvalue().split("\n")[0] == "[/red]\\x1b[1m  b\\nc"


def test_a_table_is_safe_on_any_console() -> None:
    """Its cells are made harmless when the row is added, whoever prints it."""
    stream = StringIO()
    table = make_table(console := Console(file=stream, width=80), "study")
    table.add_row("1.2[/red]\x1b[1m")

    console.print(table)

    assert "1.2[/red]\\x1b[1m" in stream.getvalue()
