"""Provide a database in a state folder, and a function that runs commands on it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from databases import NewSqlite
from ledger_driver import LedgerDriver, SettableClock

from cli.main import main
from db import ledger
from db.engine import Database, open_database
from nightread.paths import root_text

Nightread = Callable[..., tuple[int, str, str]]
SITE_KEY = "a key for tests"


@pytest.fixture
def state_dir(new_sqlite: NewSqlite, tmp_path: Path) -> Path:
    """Return a state folder with an empty database."""
    folder = tmp_path / "state"
    folder.mkdir()
    with new_sqlite(folder / "nightread.sqlite3"):
        return folder


@pytest.fixture
def database(state_dir: Path) -> Iterator[Database]:
    """Open the database of the state folder."""
    with closing(open_database(f"sqlite:///{state_dir / 'nightread.sqlite3'}")) as database:
        yield database


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Return an empty folder for scans."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger_driver(database: Database, clock: SettableClock, inbox: Path) -> LedgerDriver:
    """Drive the ledger of the database; its source is the inbox."""
    source_id = ledger.ensure_source(database, name="inbox", kind="folder", root=root_text(inbox), now=clock())
    return LedgerDriver(database=database, clock=clock, source_id=source_id)


@pytest.fixture
def nightread(state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nightread:
    """Return a function that runs a command and returns exit code, standard output and standard error."""
    monkeypatch.setenv("NIGHTREAD_STATE_DIR", str(state_dir))
    monkeypatch.setenv("NIGHTREAD_SITE_KEY", SITE_KEY)
    monkeypatch.setenv("NIGHTREAD_TIME_ZONE", "Europe/Berlin")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nightread", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def bundle_id(database: Database, clock: SettableClock) -> int:
    """Register a bundle and return its id."""
    labels = ["clear", "nodule"]
    return ledger.register_bundle(
        database, name="p", version="1", digest="d" * 64, labels=labels, normal_label="clear", now=clock()
    )
