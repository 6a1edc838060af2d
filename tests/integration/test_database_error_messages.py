"""Each database error is explained in one sentence, and work continues after its cause is gone."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from databases import NewSqlite
from ledger_driver import SettableClock, build_arrivals
from postgres_stopped import setting, stopped
from servers import PostgresServer, private_postgres
from small_disk import full, read_only, small_disk
from sqlalchemy import select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import CompileError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db import ledger, schema
from db.engine import Database, open_database
from db.error_messages import describe
from db.tables import audit, work
from nightread.errors import StopWork

CANARY = "canary-4711"


def error_message(operation: Callable[[], object]) -> str:
    """Return the message for the error that the operation raises."""
    with pytest.raises(SQLAlchemyError) as raised:
        operation()
    message = describe(raised.value)
    assert CANARY not in message
    return message


def write(database: Database, number: int = 1) -> None:
    """Register this number of files."""
    now = SettableClock()()
    source = ledger.ensure_source(database, name=CANARY, kind="folder", root="/", now=now)
    arrivals = build_arrivals(number)
    ledger.register(database, source_id=source, arrivals=arrivals, priority=5, now=now)


def read_once(database: Database) -> None:
    """Read from the database."""
    with database.read() as connection:
        connection.execute(text("SELECT 1"))


def test_a_full_disk_is_explained_and_writes_work_after_it_has_space(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """Committed rows survive it."""
    with (
        small_disk(tmp_path / "disk", mib=4) as disk,
        new_sqlite(disk / "record.sqlite3", busy_milliseconds=100) as database,
    ):
        write(database)
        with full(disk):
            message = error_message(lambda: [write(database, 1000) for _ in range(100)])
        assert "disk is full: free some space" in message
        write(database)
        database.close()


def test_a_read_only_disk_is_explained_and_writes_work_after_it(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """The kernel mounts a disk read-only after a disk error."""
    with (
        small_disk(tmp_path / "disk", mib=4) as disk,
        new_sqlite(disk / "record.sqlite3", busy_milliseconds=100) as database,
    ):
        write(database)
        database.close()
        with read_only(disk):
            message = error_message(lambda: write(database))
            database.close()
        assert "mounted for writing" in message
        write(database)
        database.close()


def test_a_lock_is_explained_and_writes_work_after_its_release(
    tmp_path: Path, new_sqlite: NewSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person has an open transaction in `sqlite3`."""
    monkeypatch.setattr("db.engine.BUSY_SECONDS", 2)
    path = tmp_path / "record.sqlite3"
    with (
        new_sqlite(path, busy_milliseconds=100) as database,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        assert "holds its lock" in error_message(lambda: write(database))
        other.execute("ROLLBACK")
        write(database)


@pytest.mark.parametrize("comes", [None, "another"])
@pytest.mark.parametrize("operation", [read_once, write])
def test_a_file_that_was_removed_or_replaced_stops_work(
    tmp_path: Path,
    new_sqlite: NewSqlite,
    sqlite_template: Path,
    comes: str | None,
    operation: Callable[[Database], None],
) -> None:
    """SQLite itself would continue with a file that no other process can open."""
    path = tmp_path / "record.sqlite3"
    with new_sqlite(path, busy_milliseconds=100) as database:
        write(database)
        path.rename(tmp_path / "moved.sqlite3")
        if comes:
            shutil.copy(sqlite_template, path)
        with pytest.raises(StopWork, match="was removed or replaced"):
            operation(database)


def test_a_file_that_came_back_is_used_again(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """A file that is moved away and back is the same file."""
    path = tmp_path / "record.sqlite3"
    with new_sqlite(path, busy_milliseconds=100) as database:
        write(database)
        path.rename(tmp_path / "moved.sqlite3")
        (tmp_path / "moved.sqlite3").rename(path)
        write(database)
        with database.read() as connection:
            assert len(connection.execute(select(work.c.id)).all()) == 2


def test_a_missing_folder_is_explained(tmp_path: Path) -> None:
    """The folder is removed before the file is opened."""
    folder = tmp_path / "state"
    folder.mkdir()
    with closing(open_database(f"sqlite:///{folder}/record.sqlite3")) as database:
        folder.rmdir()
        assert "cannot be opened" in error_message(lambda: write(database))


def test_a_damaged_file_is_explained(tmp_path: Path) -> None:
    """The file was overwritten with other bytes."""
    path = tmp_path / "record.sqlite3"
    path.write_bytes(os.urandom(65536))
    with closing(open_database(f"sqlite:///{path}")) as database:
        assert "damaged" in error_message(lambda: write(database))


def test_missing_tables_and_columns_are_explained(empty_database: Database) -> None:
    """The schema is older or absent, and writes work after the upgrade."""
    assert "nightread db upgrade" in error_message(lambda: write(empty_database))
    schema.upgrade(empty_database)
    write(empty_database)
    with empty_database.writer.begin() as connection:
        connection.execute(text("ALTER TABLE work DROP COLUMN tried_since"))
    assert "nightread db upgrade" in error_message(lambda: _read_work(empty_database))
    assert "nightread db upgrade" in error_message(
        lambda: empty_database.write(lambda c: c.execute(work.update().values(tried_since=None)))
    )


def test_an_unknown_error_is_named_by_its_class(database: Database) -> None:
    """The text of the error, which may quote values, is not shown."""
    assert describe(CompileError(CANARY)) == "it raised an unexpected error (CompileError)"
    assert "connections are in use" in describe(PoolTimeoutError(CANARY))
    message = error_message(lambda: database.write(lambda c: c.execute(text("SELECT 'canary-4711' FROM FROM work"))))
    assert message.startswith("it raised an unexpected error (")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A private server that a test may stop."""
    with private_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """URL of a migrated database on the private server."""
    postgres.execute("DROP DATABASE IF EXISTS record WITH (FORCE)")
    postgres.execute("CREATE DATABASE record TEMPLATE template0")
    with closing(open_database(postgres.url("record"))) as database:
        schema.upgrade(database)
    return postgres.url("record")


@pytest.mark.servers
def test_a_refused_password_is_explained(postgres: PostgresServer, postgres_url: str) -> None:
    """The message has neither the user name nor the password."""
    hba = setting(postgres, "hba_file")
    before = Path(hba).read_text()
    postgres.execute(f"CREATE ROLE {CANARY.replace('-', '')} LOGIN PASSWORD 'right'")
    url = make_url(postgres_url).set(username=CANARY.replace("-", ""), password=CANARY)
    Path(hba).write_text(f"local all {CANARY.replace('-', '')} scram-sha-256\n{before}")
    postgres.execute("SELECT pg_reload_conf()")
    try:
        with closing(open_database(url.render_as_string(hide_password=False))) as database:
            assert "refuses the user name or the password" in error_message(lambda: write(database))
        with closing(open_database(url.set(password=None).render_as_string())) as database:
            assert "refuses the user name or the password" in error_message(lambda: write(database))
        right = url.set(password="right").render_as_string(hide_password=False)
        with closing(open_database(right)) as database:
            assert "grant the user the rights" in error_message(lambda: write(database))
    finally:
        Path(hba).write_text(before)
        postgres.execute("SELECT pg_reload_conf()")


@pytest.mark.servers
def test_a_missing_database_is_explained(postgres: PostgresServer) -> None:
    """The server is available but has no database with this name."""
    with closing(open_database(postgres.url(CANARY))) as database:
        assert "no database with this name" in error_message(lambda: write(database))


@pytest.mark.servers
def test_too_many_connections_are_explained(postgres: PostgresServer, postgres_url: str) -> None:
    """Reads work again when one connection is free."""
    postgres.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 1")
    url = make_url(postgres_url).set(username="few").render_as_string()
    with closing(open_database(url)) as first, closing(open_database(url)) as second:
        with first.read() as connection:
            connection.execute(text("SELECT 1"))
            assert "connections are in use" in error_message(lambda: read_once(second))
        first.close()
        # The server ends the connection in its own time: wait for that, ten seconds at most.
        postgres.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'few'")
        read_once(second)


@pytest.mark.servers
def test_a_read_only_server_is_explained(postgres: PostgresServer, postgres_url: str) -> None:
    """The server is a replica, or its administrator made it read-only."""
    postgres.execute("ALTER DATABASE record SET default_transaction_read_only = on")
    with closing(open_database(postgres_url)) as database:
        assert "read-only" in error_message(lambda: write(database))


@pytest.mark.servers
def test_a_full_disk_of_the_server_is_explained(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The disk of the server is full, and reads still work."""
    folder = Path(setting(postgres, "data_directory")).parent / "small"
    with small_disk(folder, mib=24) as disk:
        if os.getuid() == 0:
            shutil.chown(disk, "nobody")
        postgres.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        postgres.execute("CREATE DATABASE on_small TEMPLATE template0 TABLESPACE small")
        try:
            with closing(open_database(postgres.url("on_small"))) as database:
                schema.upgrade(database)
                message = error_message(lambda: [write(database, 1000) for _ in range(200)])
                assert "disk is full: free some space" in message
                with database.read() as connection:
                    assert connection.execute(select(work.c.id).limit(1)).first()
        finally:
            postgres.execute("DROP DATABASE on_small WITH (FORCE)")
            postgres.execute("DROP TABLESPACE small")


@pytest.mark.servers
def test_a_stopped_server_is_explained_and_writes_work_after_its_start(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """The next transaction does not use a connection from before the stop."""
    with closing(open_database(postgres_url)) as database:
        write(database)
        with stopped(postgres):
            assert "cannot be reached" in error_message(lambda: write(database))
        write(database)


@pytest.mark.servers
def test_a_connection_that_the_server_ends_is_explained(postgres: PostgresServer, postgres_url: str) -> None:
    """The server ends it in the middle of a transaction."""
    with closing(open_database(postgres_url)) as database:

        def transaction(connection: object) -> None:
            connection.execute(text("SELECT 1"))  # type: ignore[attr-defined]
            postgres.execute(_END_OTHERS)
            connection.execute(select(audit))  # type: ignore[attr-defined]

        message = error_message(lambda: database.write(transaction))
        assert "starting or stopping" in message or "cannot be reached" in message
        write(database)


def _read_work(database: Database) -> None:
    with database.read() as connection:
        connection.execute(select(work))


_END_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'record'"
