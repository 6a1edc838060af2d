"""Print results to standard output and everything else to standard error, with control characters shown as escapes."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from nightread.plain_text import visible


class PlainConsole(Console):
    """Prints every text as it is: brackets are not markup, and control characters are shown as escapes.

    Each printed text is one line. Styles are given by `style` or by a Text.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, markup=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print the objects; each text becomes one line."""
        super().print(*(cell(each) if isinstance(each, str | Text) else each for each in objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Convert an object to segments of text, with control characters shown as escapes.

        All output passes here, so that only Rich itself can control the terminal.
        """
        for segment in super().render(renderable, options):
            is_safe = segment.control or segment.text.isprintable() or segment.text == "\n"
            yield segment if is_safe else Segment("\n".join(map(visible, segment.text.split("\n"))), segment.style)


def cell(value: str | Text) -> Text:
    """Return text for one cell or one printed line, without markup, line breaks and control characters."""
    if isinstance(value, str):
        return Text(visible(value))
    plain = visible(value.plain)
    return value if plain == value.plain else Text(plain, style=value.style)


out = PlainConsole(soft_wrap=True)
err = PlainConsole(stderr=True, soft_wrap=True)


def show_error(message: str) -> None:
    """Print one line on standard error that says what happened and what to do."""
    err.print(Text("error:", style="bold red"), message)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
