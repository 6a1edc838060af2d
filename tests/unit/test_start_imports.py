"""A short command starts quickly, because it imports no library that it does not use."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from cli.lazy import LazyGroup
from cli.main import cli
from cli.models import models_command
from db import schema
from db.engine import open_database

GROUPS = (cli, models_command)
LIBRARIES = ("alembic", "celery", "keras", "kombu", "numpy", "pydantic", "pydicom", "redis", "rich", "sqlalchemy")
PROBE = """
import sys
sys.argv[0] = "nightread"
from cli.main import main
try:
    main()
finally:
    print("imported:", *sorted(set(sys.modules) & set(LIBRARIES)), file=sys.stderr)
"""


def _imported(*arguments: str) -> str:
    """Return which of LIBRARIES a command imports."""
    code = f"LIBRARIES = {LIBRARIES!r}\n{PROBE}"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.strip().rpartition("imported:")[2].strip()


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["models", "--help"]])
def test_version_and_help_import_no_large_library(arguments: list[str]) -> None:
    """They need click alone, so they answer in a twentieth of a second."""
    assert _imported(*arguments) == ""


@pytest.mark.parametrize("command", [["query"], ["status", "--json"]])
def test_a_command_that_reads_the_database_imports_no_queue_and_no_migrations(
    command: list[str], tmp_path: Path
) -> None:
    """The schema is checked without Alembic; `status` looks for a bundle, which is read with NumPy."""
    with closing(open_database(f"sqlite:///{tmp_path / 'nightread.sqlite3'}")) as database:
        schema.upgrade(database)

    imported = _imported(*command, "--state", str(tmp_path)).split()

    assert not {"alembic", "celery", "kombu", "keras", "redis"} & set(imported)


def test_a_new_database_is_created_without_alembic(tmp_path: Path) -> None:
    """The tables come from a text."""
    url = f"sqlite:///{tmp_path / 'nightread.sqlite3'}"

    assert "alembic" not in _imported("db", "upgrade", "--database-url", url, "--state", str(tmp_path)).split()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_the_list_of_commands_says_what_each_command_says(group: LazyGroup) -> None:
    """The sentences of the list are the first sentences of the commands, and no command is hidden."""
    context = click.Context(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}

    assert {name: text for name, (_, text) in group.commands_in.items()} == {
        name: command.get_short_help_str(1000) for name, command in commands.items() if command
    }
    assert not [name for name, command in commands.items() if command is None or command.hidden]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_help_and_completion_equal_those_of_click(group: LazyGroup) -> None:
    """A group with the same commands, imported, shows the same."""
    names = ["-h", "--help"]  # click keeps the help option of the first context of a command
    context = click.Context(group, help_option_names=names)
    group._help_option = None
    plain = click.Group(group.name, params=group.params, help=group.help)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        plain.add_command(command, name)
    plain.list_commands = group.list_commands  # type: ignore[method-assign]

    assert group.get_help(context) == plain.get_help(click.Context(plain, help_option_names=names))
    for start in ("", "re", "--"):
        found, expected = (
            [(item.value, item.help) for item in ShellComplete(each, {}, "nightread", "X").get_completions([], start)]
            for each in (group, plain)
        )
        assert found == expected


def test_an_error_in_the_module_of_a_command_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is missing is named, as if it were imported at the start."""
    monkeypatch.setitem(sys.modules, "cli.status", None)

    with pytest.raises(ModuleNotFoundError, match=r"cli\.status"):
        cli.get_command(click.Context(cli), "status")


def test_an_unknown_command_is_none() -> None:
    """Click then names similar commands."""
    assert cli.get_command(click.Context(cli), "no-such-command") is None
