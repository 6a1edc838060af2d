"""Commands that nightread prints can be pasted, also if a folder has a space in its name or the terminal is narrow."""

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from cli import demo, up
from nightread.settings import load_settings

FOLDER = Path("/data/night shift/it's")


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what is printed on a terminal of 40 columns."""
    stream = io.StringIO()
    console = Console(file=stream, width=40, force_terminal=True, color_system=None)
    monkeypatch.setattr(up, "err", console)
    monkeypatch.setattr(demo, "out", console)
    return stream


def test_up_prints_a_command_for_the_status(printed: io.StringIO) -> None:
    """One word for the state folder."""
    up._print_start([Path("/in")], load_settings(state_dir=FOLDER, flower_port=0))
    (line,) = [line for line in printed.getvalue().splitlines() if line.startswith("status")]
    assert shlex.split(line)[1:] == ["nightread", "status", "--state", str(FOLDER)]


def test_the_demo_prints_commands_to_try_next(printed: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """One word for each folder, and for the program if it is not on PATH."""
    monkeypatch.setattr(demo.sys, "argv", ["/opt/my tools/nightread"])
    monkeypatch.setattr(demo.shutil, "which", lambda _: None)
    demo._show_next_steps(FOLDER, load_settings(state_dir=FOLDER / "state", model="phantom"))
    commands = [shlex.split(line, comments=True) for line in printed.getvalue().splitlines() if "#" in line]
    assert [command[0] for command in commands] == ["/opt/my tools/nightread"] * 4
    assert all(command[command.index("--state") + 1] == str(FOLDER / "state") for command in commands)
    assert commands[3][-4:] == ["--inbox", str(FOLDER / "inbox"), "--model", "phantom"]
