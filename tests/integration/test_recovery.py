"""Watcher and dispatcher continue by themselves when a database is available again."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from databases import NewSqlite
from postgres_stopped import stopped
from servers import private_postgres
from small_disk import full, small_disk
from sqlalchemy import func, select

from db import queries, schema
from db.engine import Database, open_database
from db.tables import batches, instances
from nightread.errors import StopWork
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import Settings, load_settings
from producer.dispatcher.dispatch import Dispatcher
from producer.dispatcher.transport import Transport
from producer.folders.folder import Folder
from producer.folders.intake import Intake
from producer.folders.watch import FolderWatcher

TIMEOUT_SECONDS = 30
SOON = 0.05


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def settings_for(state: Path, sql_url: str, **knobs: object) -> Settings:
    """Return settings with short intervals and without a disk reserve, so that the disk can become full."""
    fast = {"settle_seconds": SOON, "scan_seconds": SOON, "poll_seconds": SOON, "disk_reserve_bytes": 0}
    return load_settings(None, state_dir=state, database_url=sql_url, **{**fast, **knobs})


@contextmanager
def watcher_and_dispatcher(
    settings: Settings, database: Database, inbox: Path, redis_url: str
) -> Iterator[list[Exception]]:
    """Run a watcher and a dispatcher, each in a thread; the list has the errors that ended them."""
    stop, ended = threading.Event(), list[Exception]()
    transport = Transport(make_celery(redis_url, settings), open_redis(redis_url))
    watcher = FolderWatcher(Folder(inbox, settings), settings, database, lambda _arrivals: None)

    def run(loop: Callable[[threading.Event], None]) -> None:
        try:
            loop(stop)
        except StopWork as error:
            ended.append(error)

    threads = [
        threading.Thread(target=run, args=(loop,))
        for loop in (watcher.run, Dispatcher(database, transport, settings).run)
    ]
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after 30 s."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold within 30 s"
        time.sleep(0.01)


def count(database: Database) -> tuple[int, int]:
    """Return the numbers of arrivals and of batches."""
    with database.read() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (instances, batches)
        )  # type: ignore[return-value]


def both_logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return {"producer.folders.watch", "producer.dispatcher.dispatch"} <= loggers_of(caplog, text)


def loggers_of(caplog: pytest.LogCaptureFixture, text: str) -> set[str]:
    return {record.name for record in caplog.records if text in record.getMessage()}


def test_both_wait_for_a_lock(
    tmp_path: Path,
    new_sqlite: NewSqlite,
    inbox: Path,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files that arrived meanwhile are registered and published afterwards; the dispatcher logs the lock once."""
    monkeypatch.setattr("db.engine.BUSY_SECONDS", 2)
    path = tmp_path / "record.sqlite3"
    settings = settings_for(tmp_path, f"sqlite:///{path}")
    with (
        new_sqlite(path, busy_milliseconds=100) as database,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        (inbox / "before").touch()
        Intake(settings, database, Folder.from_path(inbox, settings), lambda _arrivals: None).register_all()
        other.execute("BEGIN IMMEDIATE")
        with watcher_and_dispatcher(settings, database, inbox, redis_url):
            wait_until(lambda: both_logged(caplog, "another program holds its lock"))
            (inbox / "meanwhile").touch()
            other.execute("ROLLBACK")
            # Both files may be in one batch: the watcher may get the lock first.
            wait_until(lambda: queries.tally(database).queued == 2)
    by = [record.name for record in caplog.records if "another program holds its lock" in record.getMessage()]
    assert by.count("producer.dispatcher.dispatch") == 1


def test_both_wait_for_free_space_on_a_full_disk(
    tmp_path: Path, new_sqlite: NewSqlite, inbox: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk reserve may be off, or another program may fill the disk between two checks."""
    with (
        small_disk(tmp_path / "disk", mib=4) as disk,
        new_sqlite(disk / "record.sqlite3", busy_milliseconds=100) as database,
    ):
        settings = settings_for(disk, f"sqlite:///{disk}/record.sqlite3")
        with watcher_and_dispatcher(settings, database, inbox, redis_url):
            (inbox / "before").touch()
            wait_until(lambda: count(database) == (1, 1))
            with full(disk):
                for number in range(300):
                    (inbox / f"{number:0200}").touch()
                wait_until(lambda: "producer.folders.watch" in loggers_of(caplog, "disk is full"))
            wait_until(lambda: count(database)[0] == 301)
            wait_until(lambda: count(database)[1] >= 2)
        assert count(database)[0] == 301
        database.close()


@pytest.mark.servers
def test_both_wait_for_a_server_that_was_stopped(
    tmp_path: Path, inbox: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of them logs what is wrong."""
    caplog.set_level("INFO")
    with private_postgres() as server:
        server.execute("CREATE DATABASE record TEMPLATE template0")
        url = server.url("record")
        with closing(open_database(url)) as database:
            schema.upgrade(database)
            with watcher_and_dispatcher(settings_for(tmp_path, url), database, inbox, redis_url):
                (inbox / "before").touch()
                wait_until(lambda: count(database) == (1, 1))
                with stopped(server):
                    (inbox / "meanwhile").touch()
                    wait_until(lambda: both_logged(caplog, "its server"))
                wait_until(lambda: count(database) == (2, 2))
            assert "the database is available again" in caplog.text


def test_both_stop_if_the_database_file_was_removed(
    tmp_path: Path, new_sqlite: NewSqlite, inbox: Path, redis_url: str
) -> None:
    """They would write to a deleted file; the supervisor starts them again with the file that exists then."""
    path = tmp_path / "record.sqlite3"
    with (
        new_sqlite(path, busy_milliseconds=100) as database,
        watcher_and_dispatcher(settings_for(tmp_path, f"sqlite:///{path}"), database, inbox, redis_url) as ended,
    ):
        (inbox / "before").touch()
        wait_until(lambda: count(database) == (1, 1))
        path.unlink()
        (inbox / "after").touch()
        wait_until(lambda: len(ended) == 2)
        assert all("removed or replaced" in str(error) for error in ended)


def test_both_wait_for_the_schema(
    tmp_path: Path, inbox: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A forgotten `nightread db upgrade` may be run while they wait."""
    path = tmp_path / "record.sqlite3"
    (inbox / "a").touch()
    with (
        closing(open_database(f"sqlite:///{path}")) as database,
        watcher_and_dispatcher(settings_for(tmp_path, f"sqlite:///{path}"), database, inbox, redis_url) as ended,
    ):
        wait_until(lambda: both_logged(caplog, "nightread db upgrade"))
        schema.upgrade(database)
        wait_until(lambda: count(database) == (1, 1))
        assert ended == []
