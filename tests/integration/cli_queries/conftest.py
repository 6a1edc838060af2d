"""A record in a state folder, and the commands that read it."""

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
    """A state folder with an empty record."""
    folder = tmp_path / "state"
    folder.mkdir()
    with new_sqlite(folder / "nightread.sqlite3"):
        return folder


@pytest.fixture
def record(state_dir: Path) -> Iterator[Database]:
    """The record of that folder."""
    with closing(open_database(f"sqlite:///{state_dir / 'nightread.sqlite3'}")) as database:
        yield database


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder of scans."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger_driver(record: Database, clock: SettableClock, inbox: Path) -> LedgerDriver:
    """The ledger's verbs on that record; its source is the inbox."""
    source_id = ledger.ensure_source(record, name="inbox", kind="folder", root=root_text(inbox), now=clock())
    return LedgerDriver(database=record, clock=clock, source_id=source_id)


@pytest.fixture
def nightread(state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nightread:
    """`nightread("query", "--format", "json")`: exit code, standard output, standard error."""
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
def bundle_id_of_record(record: Database, clock: SettableClock) -> int:
    """A bundle in that record."""
    labels = ["clear", "nodule"]
    return ledger.register_bundle(
        record, name="p", version="1", digest="d" * 64, labels=labels, normal_label="clear", now=clock()
    )
