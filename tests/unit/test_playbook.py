"""The playbook of docs/operations.md has an entry for every symptom, and its commands exist."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from chaos.faults import fault_kinds

from cli.main import cli

DOCS = Path(__file__).parents[2] / "docs"
ENTRIES = {
    "SIGKILL of a worker child": "A worker is dead, or was killed",
    "SIGSTOP of a worker child": "A worker hangs",
    "SIGKILL of the worker": "A worker is dead, or was killed",
    "SIGSTOP of the worker": "A worker hangs",
    "SIGKILL of the dispatcher": "The dispatcher is dead or stopped",
    "SIGSTOP of the dispatcher": "The dispatcher is dead or stopped",
    "SIGKILL of the producer": "A producer is dead or stopped",
    "SIGSTOP of the producer": "A producer is dead or stopped",
    "Redis killed, with AOF": "Redis is unavailable, was restarted or lost its data",
    "Redis killed, without AOF": "Redis is unavailable, was restarted or lost its data",
    "FLUSHALL": "Redis is unavailable, was restarted or lost its data",
    "PostgreSQL stopped, fast": "The database is unavailable or locked",
    "PostgreSQL stopped, immediate": "The database is unavailable or locked",
    "SQLite locked": "The database is unavailable or locked",
    "disk full": "The disk is full",
}
"""The entry of each fault of `make chaos`; a kill between two steps has one entry of its own."""
BETWEEN = "A process died in the middle of a step"
_CODE = re.compile(r"`(nightread [^`]+)`|^(nightread .+)$", re.MULTILINE)


def _playbook() -> dict[str, str]:
    """Return the text of each entry by its heading."""
    page = (DOCS / "operations.md").read_text("utf-8")
    part = page.partition("\n## Playbook\n")[2].partition("\n## ")[0]
    _, *rest = re.split(r"^### (.+)$", part, flags=re.MULTILINE)
    return dict(zip(rest[::2], rest[1::2], strict=True))


def test_each_fault_of_the_chaos_tests_has_its_entry() -> None:
    """A new kind of fault needs a line here, and an entry there."""
    disk = SimpleNamespace(mount_error=None)
    systems: list[Any] = [SimpleNamespace(postgres=postgres, disk=disk) for postgres in (None, object())]
    faults = {kind.name for system in systems for kind in fault_kinds(system)}
    between = {name for name in faults if name not in ENTRIES}
    assert between
    assert all("between" in name or "after" in name or "before" in name for name in between), between
    assert faults >= ENTRIES.keys()
    assert _playbook().keys() >= {BETWEEN, *ENTRIES.values()}


def test_each_entry_says_what_to_see_where_to_look_and_what_to_do() -> None:
    """In this order, and in few lines."""
    for heading, text in _playbook().items():
        words = re.findall(r"\*\*(See|Look|Do)\*\*", text)
        assert words == ["See", "Look", "Do"], heading


@pytest.mark.parametrize("name", ["operations.md", "deployment.md"])
def test_the_commands_of_the_page_exist(name: str) -> None:
    """Each command, sub-command and option is one that nightread has."""
    page = (DOCS / name).read_text("utf-8")
    found = [inline or block for inline, block in _CODE.findall(page)]
    assert len(found) > 5
    wrong = [problem for text in found if (problem := _problem(text))]
    assert wrong == []


def _problem(text: str) -> str | None:
    words = re.sub(r"[\[\]()]|\.\.\.", " ", text).split()[1:]
    command: click.Command = cli
    while words and isinstance(command, click.Group):
        if words[0].startswith("-"):
            break
        context = click.Context(command, info_name="nightread")
        choices = words[0].split("|")
        chosen = [command.get_command(context, choice) for choice in choices]
        if chosen[0] is None:
            return f"{text}: no command {words[0]}"
        command, words = chosen[0], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "--version"}
    options = {part for word in words for part in word.split("|") if part.startswith("--")}
    return f"{text}: {options - known}" if options - known else None
