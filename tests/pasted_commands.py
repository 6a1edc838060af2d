"""Read the commands of a page of the documentation, for a test that runs them."""

import re
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def commands_of(page: str, heading: str) -> Iterator[str]:
    """Yield the commands of the first block below the heading; a here-document is one command with its lines."""
    section = (DOCS / page).read_text("utf-8").partition(f"\n## {heading}\n")[2]
    found = re.search(r"^```\w*\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no commands below {heading}"
    lines = iter(found[1].splitlines())
    for line in lines:
        if mark := re.search(r"<<'?(\w+)'?$", line):
            yield "\n".join([line, *_until(lines, mark[1])])
        elif line.strip():
            yield re.sub(r"\s{2,}#.*", "", line)


def _until(lines: Iterator[str], end: str) -> Iterator[str]:
    for line in lines:
        yield line
        if line == end:
            return
