"""A folder with a marker is told apart from the empty place where its share is mounted at other times."""

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

PATIENCE_SECONDS = 30


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
    """The folder, watched by a thread that has finished its first scan."""
    watcher = FolderWatcher(Folder(inbox, settings), settings, database, lambda _arrivals: None)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: watcher.report != FolderReport())
        yield watcher
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def eventually(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after 30 s."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def marked(database: Database) -> list[bool]:
    with database.read() as connection:
        return list(connection.execute(select(sources.c.marked)).scalars())


def uris(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.execute(select(instances.c.uri)).scalars())


def test_a_folder_is_marked_once_its_watcher_saw_the_marker(
    database: Database, inbox: Path, settings: Settings
) -> None:
    """Also where the marker comes later; the marker itself is no arrival, nor a name that grows old."""
    (inbox / "a").touch()
    with watching(settings, database, inbox) as watcher:
        eventually(lambda: uris(database) == ["a"])
        assert marked(database) == [False]
        (inbox / ROOT_MARKER).touch()
        eventually(lambda: marked(database) == [True])
        (inbox / "b").touch()
        eventually(lambda: uris(database) == ["a", "b"])
        assert watcher.report.temporary == 0


def test_without_its_marker_a_marked_folder_is_away(database: Database, inbox: Path, settings: Settings) -> None:
    """What somebody drops on the bare mount point is left there, and nothing that is known is touched."""
    (inbox / ROOT_MARKER).touch()
    (inbox / "a").touch()
    with watching(settings, database, inbox) as watcher:
        eventually(lambda: uris(database) == ["a"])
        inbox.rename(inbox.with_name("share"))
        inbox.mkdir()
        (inbox / "stray").write_bytes(b"x")
        eventually(lambda: watcher.report.marker_missing)
        known = watcher.report.known
        (inbox / "stray too").write_bytes(b"x")
        eventually(lambda: _told(database, "marker_missing"))
        assert (uris(database), known) == (["a"], 1)
        for stray in ("stray", "stray too"):
            (inbox / stray).unlink()
        inbox.rmdir()
        inbox.with_name("share").rename(inbox)
        (inbox / "b").touch()
        eventually(lambda: uris(database) == ["a", "b"])
        eventually(lambda: not any(watcher.report.troubles))


def test_a_share_that_is_really_unmounted_is_away(database: Database, inbox: Path, settings: Settings) -> None:
    """The mount point is empty, and no file counts as removed."""
    with small_disk(inbox / "share", mib=1) as share:
        (share / ROOT_MARKER).touch()
        (share / "a").touch()
        with watching(settings, database, share) as watcher:
            eventually(lambda: uris(database) == ["a"])
            with covered(share):
                eventually(lambda: watcher.report.marker_missing)
                assert watcher.report.known == 1
            eventually(lambda: not watcher.report.marker_missing)


@contextmanager
def covered(share: Path) -> Iterator[None]:
    """Another disk is mounted over it: what lay there is out of reach, and comes back."""
    with small_disk(share, mib=1):
        yield


def test_a_watcher_that_starts_while_the_share_is_away_knows_it(
    database: Database, inbox: Path, settings: Settings
) -> None:
    """The ledger remembers that the folder was marked."""
    source_id = ledger.ensure_source(database, name=str(inbox), kind="folder", root=str(inbox), now=utc_now())
    ledger.mark_source(database, source_id)
    (inbox / "stray").touch()
    with watching(settings, database, inbox) as watcher:
        assert watcher.report.marker_missing
        assert uris(database) == []


def test_run_refuses_a_marked_folder_without_its_marker(database: Database, inbox: Path, settings: Settings) -> None:
    """One line, and nothing registered."""
    (inbox / ROOT_MARKER).touch()
    (inbox / "a").touch()
    _run(database, inbox, settings)
    assert (marked(database), uris(database)) == ([True], ["a"])
    (inbox / ROOT_MARKER).unlink()
    (inbox / "stray").touch()
    with pytest.raises(RootMissing, match="lacks its marker"):
        _run(database, inbox, settings)
    assert uris(database) == ["a"]


def test_a_marked_folder_that_is_gone_altogether_is_missing(tmp_path: Path, settings: Settings) -> None:
    """As one without a marker."""
    folder = Folder(tmp_path / "absent", settings)
    folder.marked = True
    with pytest.raises(RootMissing):
        list(folder.scan())
    assert (folder.report.root_missing, folder.report.marker_missing) == (True, False)


def test_an_unmarked_folder_that_is_empty_loses_nothing(database: Database, inbox: Path, settings: Settings) -> None:
    """A scan adds to the ledger and takes nothing away."""
    (inbox / "a").touch()
    with watching(settings, database, inbox) as watcher:
        eventually(lambda: uris(database) == ["a"])
        (inbox / "a").unlink()
        eventually(lambda: watcher.report.root_emptied)
        assert uris(database) == ["a"]
        assert queries.tally(database).waiting == 1


def _run(database: Database, inbox: Path, settings: Settings) -> None:
    Intake(settings, database, Folder.from_path(inbox, settings), lambda _arrivals: None).register_all()


def _told(database: Database, trouble: str) -> bool:
    (source,) = queries.sources(database)
    return bool(source.report and source.report[trouble])
