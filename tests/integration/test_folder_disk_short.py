"""Nothing is registered while the disk of the database is short of space, and everything afterwards."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_disk import small_disk
from sqlalchemy import select

from db import queries
from db.engine import Database
from db.tables import instances
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder
from producer.folders.watch import FolderWatcher

TIMEOUT_SECONDS = 30
MIB = 1024**2


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@contextmanager
def watching(settings: Settings, database: Database, inbox: Path) -> Iterator[FolderWatcher]:
    watcher = FolderWatcher(Folder(inbox, settings), settings, database, lambda _arrivals: None)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
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


def arrived(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(instances.c.id)).all())


def is_reported(database: Database) -> bool:
    """Return whether the database has the report that the watcher waits for disk space."""
    found = queries.sources(database)
    return bool(found and found[0].report and found[0].report["disk_short"])


def test_a_watcher_waits_for_disk_space_and_logs_it_once(
    database: Database, inbox: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files found by events, by scans and before the start are registered afterwards."""
    caplog.set_level(logging.INFO, logger="producer.folders.watch")
    with small_disk(tmp_path / "disk", mib=8) as disk:
        settings = load_settings(
            None, state_dir=disk, settle_seconds=0.05, scan_seconds=0.05, disk_reserve_bytes=4 * MIB
        )
        (inbox / "before").touch()
        with watching(settings, database, inbox) as watcher:
            wait_until(lambda: arrived(database) == 1)
            filler = disk / "filler"
            filler.write_bytes(bytes(5 * MIB))
            wait_until(lambda: is_reported(database))
            for number in range(5):
                (inbox / str(number)).touch()
            assert watcher.report.disk_short
            assert arrived(database) == 1
            filler.unlink()
            wait_until(lambda: arrived(database) == 6)
            wait_until(lambda: not is_reported(database))
    said = [record.disk_short for record in caplog.records if hasattr(record, "disk_short")]
    assert said == [True, False]
