"""Each way in which a database can fail is said in one sentence, and is over when its cause is."""

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


def trouble(operation: Callable[[], object]) -> str:
    """What is said of the error that the operation raises."""
    with pytest.raises(SQLAlchemyError) as raised:
        operation()
    said = describe(raised.value)
    assert CANARY not in said
    return said


def write(database: Database, number: int = 1) -> None:
    """Register so many files."""
    now = SettableClock()()
    source = ledger.ensure_source(database, name=CANARY, kind="folder", root="/", now=now)
    arrivals = build_arrivals(number)
    ledger.register(database, source_id=source, arrivals=arrivals, priority=5, now=now)


def look(database: Database) -> None:
    """Read something."""
    with database.read() as connection:
        connection.execute(text("SELECT 1"))


def test_a_full_disk_is_said_and_over_when_there_is_room(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """Nothing that was committed is lost by it."""
    with (
        small_disk(tmp_path / "disk", mib=4) as disk,
        new_sqlite(disk / "record.sqlite3", busy_milliseconds=100) as database,
    ):
        write(database)
        with full(disk):
            said = trouble(lambda: [write(database, 1000) for _ in range(100)])
        assert "disk is full: make room" in said
        write(database)
        database.close()


def test_a_read_only_disk_is_said_and_over_when_it_is_not(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """As after an error of the disk, when the kernel mounts it for reading only."""
    with (
        small_disk(tmp_path / "disk", mib=4) as disk,
        new_sqlite(disk / "record.sqlite3", busy_milliseconds=100) as database,
    ):
        write(database)
        database.close()
        with read_only(disk):
            said = trouble(lambda: write(database))
            database.close()
        assert "mounted for writing" in said
        write(database)
        database.close()


def test_a_lock_is_said_and_over_when_it_is_let_go(
    tmp_path: Path, new_sqlite: NewSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person with `sqlite3` and an open transaction."""
    monkeypatch.setattr("db.engine.BUSY_SECONDS", 2)
    path = tmp_path / "record.sqlite3"
    with (
        new_sqlite(path, busy_milliseconds=100) as database,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        assert "holds its lock" in trouble(lambda: write(database))
        other.execute("ROLLBACK")
        write(database)


@pytest.mark.parametrize("comes", [None, "another"])
@pytest.mark.parametrize("operation", [look, write])
def test_a_file_that_was_removed_or_replaced_stops_work(
    tmp_path: Path,
    new_sqlite: NewSqlite,
    sqlite_template: Path,
    comes: str | None,
    operation: Callable[[Database], None],
) -> None:
    """SQLite would go on with the file that it holds open, and nobody would ever read it."""
    path = tmp_path / "record.sqlite3"
    with new_sqlite(path, busy_milliseconds=100) as database:
        write(database)
        path.rename(tmp_path / "moved.sqlite3")
        if comes:
            shutil.copy(sqlite_template, path)
        with pytest.raises(StopWork, match="was removed or replaced"):
            operation(database)


def test_a_file_that_came_back_is_used_again(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """Moved away and back it is the same."""
    path = tmp_path / "record.sqlite3"
    with new_sqlite(path, busy_milliseconds=100) as database:
        write(database)
        path.rename(tmp_path / "moved.sqlite3")
        (tmp_path / "moved.sqlite3").rename(path)
        write(database)
        with database.read() as connection:
            assert len(connection.execute(select(work.c.id)).all()) == 2


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    """Before anything was opened in it."""
    folder = tmp_path / "state"
    folder.mkdir()
    with closing(open_database(f"sqlite:///{folder}/record.sqlite3")) as database:
        folder.rmdir()
        assert "cannot be opened" in trouble(lambda: write(database))


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    """Half of it was overwritten by something else."""
    path = tmp_path / "record.sqlite3"
    path.write_bytes(os.urandom(65536))
    with closing(open_database(f"sqlite:///{path}")) as database:
        assert "damaged" in trouble(lambda: write(database))


def test_missing_tables_and_columns_are_said(empty_database: Database) -> None:
    """Of an older release, or none; over after the upgrade."""
    assert "nightread db upgrade" in trouble(lambda: write(empty_database))
    schema.upgrade(empty_database)
    write(empty_database)
    with empty_database.writer.begin() as connection:
        connection.execute(text("ALTER TABLE work DROP COLUMN tried_since"))
    assert "nightread db upgrade" in trouble(lambda: _read_work(empty_database))
    assert "nightread db upgrade" in trouble(
        lambda: empty_database.write(lambda c: c.execute(work.update().values(tried_since=None)))
    )


def test_what_nobody_knows_is_named_by_its_class(database: Database) -> None:
    """And never by its text, which quotes values."""
    assert describe(CompileError(CANARY)) == "it failed (CompileError)"
    assert "connections are taken" in describe(PoolTimeoutError(CANARY))
    said = trouble(lambda: database.write(lambda c: c.execute(text("SELECT 'canary-4711' FROM FROM work"))))
    assert said.startswith("it failed (")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server of our own, to be stopped."""
    with private_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A migrated database on it."""
    postgres.execute("DROP DATABASE IF EXISTS record WITH (FORCE)")
    postgres.execute("CREATE DATABASE record TEMPLATE template0")
    with closing(open_database(postgres.url("record"))) as database:
        schema.upgrade(database)
    return postgres.url("record")


@pytest.mark.servers
def test_a_refused_password_is_said(postgres: PostgresServer, postgres_url: str) -> None:
    """And neither user nor password is."""
    hba = setting(postgres, "hba_file")
    before = Path(hba).read_text()
    postgres.execute(f"CREATE ROLE {CANARY.replace('-', '')} LOGIN PASSWORD 'right'")
    url = make_url(postgres_url).set(username=CANARY.replace("-", ""), password=CANARY)
    Path(hba).write_text(f"local all {CANARY.replace('-', '')} scram-sha-256\n{before}")
    postgres.execute("SELECT pg_reload_conf()")
    try:
        with closing(open_database(url.render_as_string(hide_password=False))) as database:
            assert "refuses user or password" in trouble(lambda: write(database))
        with closing(open_database(url.set(password=None).render_as_string())) as database:
            assert "refuses user or password" in trouble(lambda: write(database))
        right = url.set(password="right").render_as_string(hide_password=False)
        with closing(open_database(right)) as database:
            assert "grant it the rights" in trouble(lambda: write(database))
    finally:
        Path(hba).write_text(before)
        postgres.execute("SELECT pg_reload_conf()")


@pytest.mark.servers
def test_a_database_that_is_not_there_is_said(postgres: PostgresServer) -> None:
    """The server answers, and knows none of that name."""
    with closing(open_database(postgres.url(CANARY))) as database:
        assert "no database of that name" in trouble(lambda: write(database))


@pytest.mark.servers
def test_too_many_connections_are_said(postgres: PostgresServer, postgres_url: str) -> None:
    """Over as soon as one is free."""
    postgres.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 1")
    url = make_url(postgres_url).set(username="few").render_as_string()
    with closing(open_database(url)) as first, closing(open_database(url)) as second:
        with first.read() as connection:
            connection.execute(text("SELECT 1"))
            assert "connections are taken" in trouble(lambda: look(second))
        first.close()
        look(second)


@pytest.mark.servers
def test_a_server_that_takes_no_writes_is_said(postgres: PostgresServer, postgres_url: str) -> None:
    """A replica, or one that its administrator has set so."""
    postgres.execute("ALTER DATABASE record SET default_transaction_read_only = on")
    with closing(open_database(postgres_url)) as database:
        assert "read-only" in trouble(lambda: write(database))


@pytest.mark.servers
def test_a_full_disk_of_the_server_is_said(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its disk and not ours: an ordinary trouble of the database, over when there is room."""
    folder = Path(setting(postgres, "data_directory")).parent / "small"
    with small_disk(folder, mib=24) as disk:
        if os.getuid() == 0:
            shutil.chown(disk, "nobody")
        postgres.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        postgres.execute("CREATE DATABASE on_small TEMPLATE template0 TABLESPACE small")
        try:
            with closing(open_database(postgres.url("on_small"))) as database:
                schema.upgrade(database)
                said = trouble(lambda: [write(database, 1000) for _ in range(200)])
                assert "disk is full: make room" in said
                with database.read() as connection:
                    assert connection.execute(select(work.c.id).limit(1)).first()
        finally:
            postgres.execute("DROP DATABASE on_small WITH (FORCE)")
            postgres.execute("DROP TABLESPACE small")


@pytest.mark.servers
def test_a_stopped_server_is_said_and_over_when_it_runs(postgres: PostgresServer, postgres_url: str) -> None:
    """Connections from before are not what the next transaction is tried with."""
    with closing(open_database(postgres_url)) as database:
        write(database)
        with stopped(postgres):
            assert "does not answer" in trouble(lambda: write(database))
        write(database)


@pytest.mark.servers
def test_a_connection_that_the_server_ends_is_said(postgres: PostgresServer, postgres_url: str) -> None:
    """In the middle of a transaction."""
    with closing(open_database(postgres_url)) as database:

        def transaction(connection: object) -> None:
            connection.execute(text("SELECT 1"))  # type: ignore[attr-defined]
            postgres.execute(_END_OTHERS)
            connection.execute(select(audit))  # type: ignore[attr-defined]

        said = trouble(lambda: database.write(transaction))
        assert "starting or stopping" in said or "does not answer" in said
        write(database)


def _read_work(database: Database) -> None:
    with database.read() as connection:
        connection.execute(select(work))


_END_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'record'"
