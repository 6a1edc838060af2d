"""Each file of a watched folder becomes one arrival in the database."""

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
TIMEOUT_SECONDS = 30
MakeSettings = Callable[..., Settings]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason=skip_reasons.LINUX)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Make settings without repeated scans and without settling, so that only events cause registrations."""

    def make(**knobs: float) -> Settings:
        times = {"settle_seconds": NEVER, "scan_seconds": NEVER} | knobs
        return load_settings(None, state_dir=tmp_path / "state", **times)

    return make


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after 30 s."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold within 30 s"
        time.sleep(0.005)


def registered_uris(database: Database) -> list[str]:
    """Return the URIs of all arrivals, each of which has one row of work."""
    with database.read() as connection:
        query = select(instances.c.uri).join(work, work.c.instance_id == instances.c.id).order_by(instances.c.uri)
        return list(connection.execute(query).scalars())


@contextmanager
def watching(
    settings: Settings, database: Database, inbox: Path, on_registered: Callable[[int], None] = lambda _arrivals: None
) -> Iterator[FolderWatcher]:
    """Watch the folder in a thread; yields after its first scan, and checks that it ends within a second."""
    watcher = FolderWatcher(Folder(inbox, settings), settings, database, on_registered)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: watcher.report != FolderReport())
        yield watcher
    finally:
        stop.set()
        thread.join(1)
        assert not thread.is_alive()


def test_a_closed_file_is_registered_at_once(database: Database, inbox: Path, make_settings: MakeSettings) -> None:
    """It needs no scan and no settling; files that are still open are not registered."""
    counts: list[int] = []
    with watching(make_settings(), database, inbox, counts.append):
        with (inbox / "growing.dcm").open("wb") as growing:
            growing.write(b"part")
            growing.flush()
            (inbox / "closed.dcm").write_bytes(b"all")
            wait_until(lambda: registered_uris(database) == ["closed.dcm"])
            growing.write(b"rest")
        wait_until(lambda: registered_uris(database) == ["closed.dcm", "growing.dcm"])
    assert counts == [1, 1]
    with database.read() as connection:
        sizes = {row.uri: row.size for row in connection.execute(select(instances.c.uri, instances.c.size))}
    assert sizes == {"closed.dcm": 3, "growing.dcm": 8}


def test_a_file_renamed_into_place_is_registered_at_once(
    database: Database, inbox: Path, make_settings: MakeSettings
) -> None:
    """`x.dcm.part` becomes `x.dcm`, and only the second name is an arrival."""
    with watching(make_settings(), database, inbox):
        (inbox / "x.dcm.part").write_bytes(b"all")
        (inbox / "marker").touch()
        wait_until(lambda: registered_uris(database) == ["marker"])
        (inbox / "x.dcm.part").rename(inbox / "x.dcm")
        wait_until(lambda: "x.dcm" in registered_uris(database))
    assert registered_uris(database) == ["marker", "x.dcm"]


def test_a_tree_that_is_moved_in_is_registered(
    database: Database, inbox: Path, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """Its only event names the folder, so a scan finds its files; later files have events of their own."""
    tree = tmp_path / "tree" / "series"
    tree.mkdir(parents=True)
    for number in range(3):
        (tree / f"{number}.dcm").touch()
    with watching(make_settings(settle_seconds=SOON), database, inbox):
        tree.parent.rename(inbox / "tree")
        wait_until(lambda: len(registered_uris(database)) == 3)
        (inbox / "tree" / "series" / "late.dcm").touch()
        wait_until(lambda: "tree/series/late.dcm" in registered_uris(database))
    assert registered_uris(database) == [f"tree/series/{name}.dcm" for name in ("0", "1", "2", "late")]


def test_files_written_at_once_into_new_folders_are_registered(
    database: Database, inbox: Path, make_settings: MakeSettings
) -> None:
    """No watch can be added fast enough, so the scan that a new folder triggers finds them."""
    with watching(make_settings(settle_seconds=SOON), database, inbox):
        for number in range(100):
            folder = inbox / str(number % 10) / str(number)
            folder.mkdir(parents=True)
            (folder / "a.dcm").touch()
        wait_until(lambda: len(registered_uris(database)) == 100)
    assert len(set(registered_uris(database))) == 100


def test_a_renamed_folder_is_watched_under_its_new_name(
    database: Database, inbox: Path, make_settings: MakeSettings
) -> None:
    """The scan after the renaming stores the new path of its watch, and no later scan is needed."""
    (inbox / "before").mkdir()
    (inbox / "before" / "a.dcm").touch()
    with watching(make_settings(settle_seconds=SOON), database, inbox):
        wait_until(lambda: registered_uris(database) == ["before/a.dcm"])
        (inbox / "before").rename(inbox / "after")
        wait_until(lambda: registered_uris(database) == ["after/a.dcm", "before/a.dcm"])
        (inbox / "after" / "late.dcm").touch()
        wait_until(lambda: "after/late.dcm" in registered_uris(database))
    assert registered_uris(database) == ["after/a.dcm", "after/late.dcm", "before/a.dcm"]


@pytest.mark.slow  # 6 s for 20,000 files
def test_a_burst_that_overflows_the_events_loses_nothing(
    database: Database, inbox: Path, make_settings: MakeSettings
) -> None:
    """20,000 files arrive while the watcher is blocked: more events than the kernel queues (16,384)."""
    registered, burst_over = threading.Event(), threading.Event()

    def hold(_arrivals: int) -> None:
        registered.set()
        burst_over.wait(TIMEOUT_SECONDS)

    with watching(make_settings(settle_seconds=SOON), database, inbox, hold):
        (inbox / "first").touch()
        assert registered.wait(TIMEOUT_SECONDS)
        for number in range(20_000):
            (inbox / str(number)).touch()
        burst_over.set()
        wait_until(lambda: len(registered_uris(database)) == 20_001)
    assert len(set(registered_uris(database))) == 20_001


def test_without_events_scans_find_everything(
    database: Database, inbox: Path, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is registered after it settled, as on a network mount."""
    monkeypatch.setattr("producer.folders.watch.open_events", lambda _root, stop: NoEvents(stop))
    with watching(make_settings(settle_seconds=SOON, scan_seconds=SOON), database, inbox):
        (inbox / "s").mkdir()
        (inbox / "s" / "a.dcm").touch()
        wait_until(lambda: bool(registered_uris(database)))
    assert registered_uris(database) == ["s/a.dcm"]


def test_a_file_that_changed_updates_its_unfinished_row(
    database: Database, inbox: Path, make_settings: MakeSettings
) -> None:
    """There is one arrival, with the newer content."""
    with watching(make_settings(), database, inbox):
        (inbox / "a.dcm").write_bytes(b"1")
        wait_until(lambda: registered_uris(database) == ["a.dcm"])
        (inbox / "a.dcm").write_bytes(b"12")

        def sizes() -> list[int]:
            with database.read() as connection:
                return list(connection.execute(select(instances.c.size)).scalars())

        wait_until(lambda: sizes() == [2])
    assert registered_uris(database) == ["a.dcm"]


def test_a_restart_registers_nothing_twice(database: Database, inbox: Path, make_settings: MakeSettings) -> None:
    """A new process has no known files; the database skips those already registered."""
    settings = make_settings(settle_seconds=SOON)
    for number in range(5):
        (inbox / str(number)).touch()
    counts: list[int] = []
    for _ in range(2):
        with watching(settings, database, inbox, counts.append) as watcher:
            wait_until(partial(_knows_five, watcher))
    assert counts == [5]
    assert len(registered_uris(database)) == 5


def _knows_five(watcher: FolderWatcher) -> bool:
    return watcher.report.known == 5


def test_a_missing_root_loses_no_file(
    database: Database, inbox: Path, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """The watcher logs it once, waits, and continues when the folder is back; no row is lost."""
    caplog.set_level(logging.INFO, logger="producer.folders.watch")
    (inbox / "a").touch()
    with watching(make_settings(settle_seconds=SOON, scan_seconds=SOON), database, inbox) as watcher:
        wait_until(lambda: registered_uris(database) == ["a"])
        inbox.rename(inbox.with_name("away"))
        wait_until(lambda: watcher.report.root_missing)
        inbox.mkdir()
        wait_until(lambda: watcher.report.root_emptied)
        inbox.rmdir()
        inbox.with_name("away").rename(inbox)
        (inbox / "b").touch()
        wait_until(lambda: registered_uris(database) == ["a", "b"])
        wait_until(lambda: not any(watcher.report.troubles))
    said = [record for record in caplog.records if record.message == "the state of the folder changed"]
    assert 2 <= len(said) <= 5
    assert str(inbox) not in caplog.text


def test_a_database_that_fails_is_tried_again(
    empty_database: Database, inbox: Path, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """The watcher starts before the schema exists, and registers the files afterwards."""
    settings = make_settings(settle_seconds=SOON, scan_seconds=SOON)
    stop, counts = threading.Event(), list[int]()
    (inbox / "a").touch()
    thread = threading.Thread(target=watch, args=(settings, empty_database, [Inbox(root=inbox)], stop, counts.append))
    thread.start()
    try:
        wait_until(lambda: "the database failed" in caplog.text)
        schema.upgrade(empty_database)
        wait_until(lambda: counts == [1])
    finally:
        stop.set()
        thread.join(2)
    assert not thread.is_alive()


def test_two_inboxes_are_two_sources(database: Database, tmp_path: Path, make_settings: MakeSettings) -> None:
    """One is named by its path, the other by the operator."""
    settings = make_settings(settle_seconds=SOON, scan_seconds=SOON)
    inboxes = [Inbox(root=tmp_path / "ct"), Inbox(root=tmp_path / "mr", name="mr-scanner")]
    for inbox in inboxes:
        inbox.root.mkdir()
        (inbox.root / "a").touch()
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(settings, database, inboxes, stop, lambda _arrivals: None))
    thread.start()
    try:
        wait_until(lambda: len(registered_uris(database)) == 2)
    finally:
        stop.set()
        thread.join(2)
    with database.read() as connection:
        found = {row.name: row.root for row in connection.execute(select(sources.c.name, sources.c.root))}
    assert found == {str(tmp_path / "ct"): str(tmp_path / "ct"), "mr-scanner": str(tmp_path / "mr")}


def test_a_programming_error_ends_the_watch_and_is_raised(
    database: Database, inbox: Path, make_settings: MakeSettings
) -> None:
    """A thread that ended silently would look like a night without images."""

    def broken(_arrivals: int) -> None:
        raise ZeroDivisionError

    (inbox / "a").touch()
    settings = make_settings(settle_seconds=SOON)
    with pytest.raises(ZeroDivisionError):
        watch(settings, database, [Inbox(root=inbox)], threading.Event(), broken)
