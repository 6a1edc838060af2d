"""A watched folder and the ledger stay in step."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import skip_reasons
from sqlalchemy import select

from db import schema
from db.engine import Database
from db.tables import instances, sources, work
from nightread.settings import Settings, load_settings
from producer.folders.events import NoEvents
from producer.folders.folder import Folder
from producer.folders.report import FolderReport
from producer.folders.watch import FolderWatcher, Inbox, watch

NEVER = 3600.0
SOON = 0.05
PATIENCE_SECONDS = 30

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason=skip_reasons.LINUX)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings that scan and settle never, unless a test says otherwise: what is registered, events have named."""

    def make(**knobs: float) -> Settings:
        times = {"settle_seconds": NEVER, "scan_seconds": NEVER} | knobs
        return load_settings(None, state_dir=tmp_path / "state", **times)

    return make


def eventually(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after 30 s."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def ledger_rows(database: Database) -> list[str]:
    """The uris of all arrivals, each with one row of work."""
    with database.read() as connection:
        query = select(instances.c.uri).join(work, work.c.instance_id == instances.c.id).order_by(instances.c.uri)
        return list(connection.execute(query).scalars())


@contextmanager
def watching(
    settings: Settings, database: Database, inbox: Path, on_registered: Callable[[int], None] = lambda _arrivals: None
) -> Iterator[FolderWatcher]:
    """The folder, watched by a thread that has finished its first scan, and that ends within a second."""
    watcher = FolderWatcher(Folder(inbox, settings), settings, database, on_registered)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: watcher.report != FolderReport())
        yield watcher
    finally:
        stop.set()
        thread.join(1)
        assert not thread.is_alive()


def test_a_closed_file_is_registered_at_once(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """Without scan or settling; files that are still open wait, however long nothing is written."""
    counts: list[int] = []
    with watching(make_settings(), database, inbox, counts.append):
        with (inbox / "growing.dcm").open("wb") as growing:
            growing.write(b"part")
            growing.flush()
            (inbox / "closed.dcm").write_bytes(b"all")
            eventually(lambda: ledger_rows(database) == ["closed.dcm"])
            growing.write(b"rest")
        eventually(lambda: ledger_rows(database) == ["closed.dcm", "growing.dcm"])
    assert counts == [1, 1]
    with database.read() as connection:
        sizes = {row.uri: row.size for row in connection.execute(select(instances.c.uri, instances.c.size))}
    assert sizes == {"closed.dcm": 3, "growing.dcm": 8}


def test_a_file_renamed_into_place_is_registered_at_once(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """`x.dcm.part` becomes `x.dcm`: only the second is an arrival."""
    with watching(make_settings(), database, inbox):
        (inbox / "x.dcm.part").write_bytes(b"all")
        (inbox / "marker").touch()
        eventually(lambda: ledger_rows(database) == ["marker"])
        (inbox / "x.dcm.part").rename(inbox / "x.dcm")
        eventually(lambda: "x.dcm" in ledger_rows(database))
    assert ledger_rows(database) == ["marker", "x.dcm"]


def test_a_tree_that_is_moved_in_is_registered(
    database: Database, inbox: Path, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """Its one event names the folder: a scan finds the files, and files that come later are heard of."""
    tree = tmp_path / "tree" / "series"
    tree.mkdir(parents=True)
    for number in range(3):
        (tree / f"{number}.dcm").touch()
    with watching(make_settings(settle_seconds=SOON), database, inbox):
        tree.parent.rename(inbox / "tree")
        eventually(lambda: len(ledger_rows(database)) == 3)
        (inbox / "tree" / "series" / "late.dcm").touch()
        eventually(lambda: "tree/series/late.dcm" in ledger_rows(database))
    assert ledger_rows(database) == [f"tree/series/{name}.dcm" for name in ("0", "1", "2", "late")]


def test_files_written_at_once_into_new_folders_are_registered(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """No watch can be placed fast enough: the scan that a new folder asks for finds them."""
    with watching(make_settings(settle_seconds=SOON), database, inbox):
        for number in range(100):
            folder = inbox / str(number % 10) / str(number)
            folder.mkdir(parents=True)
            (folder / "a.dcm").touch()
        eventually(lambda: len(ledger_rows(database)) == 100)
    assert len(set(ledger_rows(database))) == 100


def test_a_renamed_folder_is_heard_under_its_new_name(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """Its watch goes with it: the scan that its renaming asks for enters it anew, and no later one comes."""
    (inbox / "before").mkdir()
    (inbox / "before" / "a.dcm").touch()
    with watching(make_settings(settle_seconds=SOON), database, inbox):
        eventually(lambda: ledger_rows(database) == ["before/a.dcm"])
        (inbox / "before").rename(inbox / "after")
        eventually(lambda: ledger_rows(database) == ["after/a.dcm", "before/a.dcm"])
        (inbox / "after" / "late.dcm").touch()
        eventually(lambda: "after/late.dcm" in ledger_rows(database))
    assert ledger_rows(database) == ["after/a.dcm", "after/late.dcm", "before/a.dcm"]


def test_a_burst_that_overflows_the_events_loses_nothing(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """20,000 files come while the watcher is held up: more events than the kernel keeps (16,384)."""
    registered, burst_over = threading.Event(), threading.Event()

    def hold(_arrivals: int) -> None:
        registered.set()
        burst_over.wait(PATIENCE_SECONDS)

    with watching(make_settings(settle_seconds=SOON), database, inbox, hold):
        (inbox / "first").touch()
        assert registered.wait(PATIENCE_SECONDS)
        for number in range(20_000):
            (inbox / str(number)).touch()
        burst_over.set()
        eventually(lambda: len(ledger_rows(database)) == 20_001)
    assert len(set(ledger_rows(database))) == 20_001


def test_without_events_scans_find_everything(
    database: Database, inbox: Path, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network mount: a file is registered once it settled."""
    monkeypatch.setattr("producer.folders.watch.open_events", lambda _root, stop: NoEvents(stop))
    with watching(make_settings(settle_seconds=SOON, scan_seconds=SOON), database, inbox):
        (inbox / "s").mkdir()
        (inbox / "s" / "a.dcm").touch()
        eventually(lambda: bool(ledger_rows(database)))
    assert ledger_rows(database) == ["s/a.dcm"]


def test_a_file_that_changed_updates_its_unfinished_row(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """One arrival, of the newer content."""
    with watching(make_settings(), database, inbox):
        (inbox / "a.dcm").write_bytes(b"1")
        eventually(lambda: ledger_rows(database) == ["a.dcm"])
        (inbox / "a.dcm").write_bytes(b"12")

        def sizes() -> list[int]:
            with database.read() as connection:
                return list(connection.execute(select(instances.c.size)).scalars())

        eventually(lambda: sizes() == [2])
    assert ledger_rows(database) == ["a.dcm"]


def test_a_restart_registers_nothing_twice(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """A new process knows nothing and asks the ledger."""
    settings = make_settings(settle_seconds=SOON)
    for number in range(5):
        (inbox / str(number)).touch()
    counts: list[int] = []
    for _ in range(2):
        with watching(settings, database, inbox, counts.append) as watcher:
            eventually(partial(_knows_five, watcher))
    assert counts == [5]
    assert len(ledger_rows(database)) == 5


def _knows_five(watcher: FolderWatcher) -> bool:
    return watcher.report.known == 5


def test_a_root_that_goes_away_costs_nothing(
    database: Database, inbox: Path, make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    """The watcher says so once, waits, and goes on when the folder is back; the ledger keeps all."""
    caplog.set_level(logging.INFO, logger="producer.folders.watch")
    (inbox / "a").touch()
    with watching(make_settings(settle_seconds=SOON, scan_seconds=SOON), database, inbox) as watcher:
        eventually(lambda: ledger_rows(database) == ["a"])
        inbox.rename(inbox.with_name("away"))
        eventually(lambda: watcher.report.root_missing)
        inbox.mkdir()
        eventually(lambda: watcher.report.root_emptied)
        inbox.rmdir()
        inbox.with_name("away").rename(inbox)
        (inbox / "b").touch()
        eventually(lambda: ledger_rows(database) == ["a", "b"])
        eventually(lambda: not any(watcher.report.troubles))
    said = [record for record in caplog.records if record.message == "the state of the folder changed"]
    assert 2 <= len(said) <= 5
    assert str(inbox) not in caplog.text


def test_a_database_that_fails_is_tried_again(
    empty_database: Database, inbox: Path, make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    """The watcher comes up before the schema; nothing is lost when the tables are there."""
    settings = make_settings(settle_seconds=SOON, scan_seconds=SOON)
    stop, counts = threading.Event(), list[int]()
    (inbox / "a").touch()
    thread = threading.Thread(target=watch, args=(settings, empty_database, [Inbox(root=inbox)], stop, counts.append))
    thread.start()
    try:
        eventually(lambda: "the database failed" in caplog.text)
        schema.upgrade(empty_database)
        eventually(lambda: counts == [1])
    finally:
        stop.set()
        thread.join(2)
    assert not thread.is_alive()


def test_two_inboxes_are_two_sources(
    database: Database, tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    """One is named by its path, the other as the operator said."""
    settings = make_settings(settle_seconds=SOON, scan_seconds=SOON)
    inboxes = [Inbox(root=tmp_path / "ct"), Inbox(root=tmp_path / "mr", name="mr-scanner")]
    for inbox in inboxes:
        inbox.root.mkdir()
        (inbox.root / "a").touch()
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(settings, database, inboxes, stop, lambda _arrivals: None))
    thread.start()
    try:
        eventually(lambda: len(ledger_rows(database)) == 2)
    finally:
        stop.set()
        thread.join(2)
    with database.read() as connection:
        found = {row.name: row.root for row in connection.execute(select(sources.c.name, sources.c.root))}
    assert found == {str(tmp_path / "ct"): str(tmp_path / "ct"), "mr-scanner": str(tmp_path / "mr")}


def test_an_error_of_ours_ends_the_watch_and_is_raised(
    database: Database, inbox: Path, make_settings: Callable[..., Settings]
) -> None:
    """A thread that died in silence would look like a night without scans."""

    def broken(_arrivals: int) -> None:
        raise ZeroDivisionError

    (inbox / "a").touch()
    settings = make_settings(settle_seconds=SOON)
    with pytest.raises(ZeroDivisionError):
        watch(settings, database, [Inbox(root=inbox)], threading.Event(), broken)
