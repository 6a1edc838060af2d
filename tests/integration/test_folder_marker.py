"""The marker distinguishes a mounted share from its empty mount point."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_disk import small_disk
from sqlalchemy import select

from db import ledger, queries
from db.engine import Database
from db.tables import instances, sources
from nightread.clock import utc_now
from nightread.paths import ROOT_MARKER
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder
from producer.folders.intake import Intake
from producer.folders.report import FolderReport
from producer.folders.walk import RootMissing
from producer.folders.watch import FolderWatcher

TIMEOUT_SECONDS = 30


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, state_dir=tmp_path / "state", settle_seconds=0.05, scan_seconds=0.05)


@contextmanager
def watching(settings: Settings, database: Database, inbox: Path) -> Iterator[FolderWatcher]:
    """Watch the folder in a thread; yields after its first scan."""
    watcher = FolderWatcher(Folder(inbox, settings), settings, database, lambda _arrivals: None)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: watcher.report != FolderReport())
        yield watcher
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after 30 s."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold within 30 s"
        time.sleep(0.005)


def marked(database: Database) -> list[bool]:
    with database.read() as connection:
        return list(connection.execute(select(sources.c.marked)).scalars())


def uris(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.execute(select(instances.c.uri)).scalars())


def test_a_folder_is_marked_after_its_watcher_found_the_marker(
    database: Database, inbox: Path, settings: Settings
) -> None:
    """The marker may come later; it is neither an arrival nor a temporary file."""
    (inbox / "a").touch()
    with watching(settings, database, inbox) as watcher:
        wait_until(lambda: uris(database) == ["a"])
        assert marked(database) == [False]
        (inbox / ROOT_MARKER).touch()
        wait_until(lambda: marked(database) == [True])
        (inbox / "b").touch()
        wait_until(lambda: uris(database) == ["a", "b"])
        assert watcher.report.temporary == 0


def test_without_its_marker_a_marked_folder_is_missing(database: Database, inbox: Path, settings: Settings) -> None:
    """Files in the mount point are not registered, and known files stay known."""
    (inbox / ROOT_MARKER).touch()
    (inbox / "a").touch()
    with watching(settings, database, inbox) as watcher:
        wait_until(lambda: uris(database) == ["a"])
        inbox.rename(inbox.with_name("share"))
        inbox.mkdir()
        (inbox / "stray").write_bytes(b"x")
        wait_until(lambda: watcher.report.marker_missing)
        known = watcher.report.known
        (inbox / "stray too").write_bytes(b"x")
        wait_until(lambda: _is_reported(database, "marker_missing"))
        assert (uris(database), known) == (["a"], 1)
        for stray in ("stray", "stray too"):
            (inbox / stray).unlink()
        inbox.rmdir()
        inbox.with_name("share").rename(inbox)
        (inbox / "b").touch()
        wait_until(lambda: uris(database) == ["a", "b"])
        wait_until(lambda: not any(watcher.report.troubles))


def test_an_unmounted_share_is_missing(database: Database, inbox: Path, settings: Settings) -> None:
    """The mount point of a real mount is empty, and no file counts as removed."""
    with small_disk(inbox / "share", mib=1) as share:
        (share / ROOT_MARKER).touch()
        (share / "a").touch()
        with watching(settings, database, share) as watcher:
            wait_until(lambda: uris(database) == ["a"])
            with covered(share):
                wait_until(lambda: watcher.report.marker_missing)
                assert watcher.report.known == 1
            wait_until(lambda: not watcher.report.marker_missing)


@contextmanager
def covered(share: Path) -> Iterator[None]:
    """Mount another disk over the share, which hides its files for a while."""
    with small_disk(share, mib=1):
        yield


def test_a_watcher_that_starts_while_the_share_is_missing_reports_it(
    database: Database, inbox: Path, settings: Settings
) -> None:
    """The database has the mark of the folder."""
    source_id = ledger.ensure_source(database, name=str(inbox), kind="folder", root=str(inbox), now=utc_now())
    ledger.mark_source(database, source_id)
    (inbox / "stray").touch()
    with watching(settings, database, inbox) as watcher:
        assert watcher.report.marker_missing
        assert uris(database) == []


def test_run_refuses_a_marked_folder_without_its_marker(database: Database, inbox: Path, settings: Settings) -> None:
    """It raises an error of one line and registers nothing."""
    (inbox / ROOT_MARKER).touch()
    (inbox / "a").touch()
    _run(database, inbox, settings)
    assert (marked(database), uris(database)) == ([True], ["a"])
    (inbox / ROOT_MARKER).unlink()
    (inbox / "stray").touch()
    with pytest.raises(RootMissing, match="lacks its marker"):
        _run(database, inbox, settings)
    assert uris(database) == ["a"]


def test_a_marked_folder_that_does_not_exist_is_missing(tmp_path: Path, settings: Settings) -> None:
    """The report has `root_missing` instead of `marker_missing`."""
    folder = Folder(tmp_path / "absent", settings)
    folder.marked = True
    with pytest.raises(RootMissing):
        list(folder.scan())
    assert (folder.report.root_missing, folder.report.marker_missing) == (True, False)


def test_an_unmarked_folder_that_is_empty_loses_nothing(database: Database, inbox: Path, settings: Settings) -> None:
    """A scan only adds rows to the database and removes none."""
    (inbox / "a").touch()
    with watching(settings, database, inbox) as watcher:
        wait_until(lambda: uris(database) == ["a"])
        (inbox / "a").unlink()
        wait_until(lambda: watcher.report.root_emptied)
        assert uris(database) == ["a"]
        assert queries.tally(database).waiting == 1


def _run(database: Database, inbox: Path, settings: Settings) -> None:
    Intake(settings, database, Folder.from_path(inbox, settings), lambda _arrivals: None).register_all()


def _is_reported(database: Database, problem: str) -> bool:
    (source,) = queries.sources(database)
    return bool(source.report and source.report[problem])
