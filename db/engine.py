"""Open the database: one engine for writing and one for reading."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from db.answer_limit import limit_answers, statement_timeout
from db.arrays import register_arrays
from db.server_cursors import use_closing_cursors
from db.types import json_text
from nightread.errors import StopWork

BUSY_SECONDS = 20
_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 0.001, 0.005
_LONG_PAUSES_AFTER_SECONDS = 0.1
_SERIALIZATION_CODES = frozenset({"40001", "40P01"})
_TRIES = 5

# For a thousand keys the planner would scan a small table completely: with 30,000 images, 10 to 70 us per key.
_BULK = "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
_BULK_ASYNCHRONOUS = f"{_BULK}, set_config('synchronous_commit', 'off', true)"

T = TypeVar("T")


@dataclass(kw_only=True, slots=True)
class DatabaseFile:
    """The file of an SQLite database, identified by device and inode.

    If an open file is removed or replaced, SQLite continues to write to it, but no other process sees these changes.
    """

    path: Path
    _identity: tuple[int, int] | None = field(default=None, init=False)

    def remember(self) -> None:
        """Store device and inode of the file. Call this after connecting: SQLite creates a missing file then."""
        if self._identity is None:
            self._identity = self._read_identity()

    def require_same(self) -> None:
        """Raise StopWork if the file was removed, or replaced by another file."""
        if self._identity is not None and self._read_identity() != self._identity:
            raise StopWork(
                f"The database file {self.path} was removed or replaced while it was in use: "
                "put the right file there, and start nightread again unless it restarts by itself."
            )

    def _read_identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - twice as fast as Path.stat; this runs before each transaction
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return self._identity  # a disk error: the next statement fails with its reason
        return status.st_dev, status.st_ino


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """The engine for writing and the engine for reading. On PostgreSQL, both are the same engine.

    On SQLite, only `writer` locks the database at BEGIN.
    """

    writer: Engine
    reader: Engine
    file: DatabaseFile | None = None
    """The database file of SQLite; None on PostgreSQL."""

    @property
    def is_sqlite(self) -> bool:
        """Return whether the database is one SQLite file on this machine."""
        return self.writer.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for reading. On PostgreSQL each statement sees what was committed before it began.

        Raises StopWork if SQLite's file was removed or replaced.
        """
        self._require_same_file()
        with self.reader.connect() as connection:
            yield connection

    def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run `transaction` in one transaction; repeat it up to four times after a deadlock or conflict on PostgreSQL.

        Raises StopWork if SQLite's file was removed or replaced, and the errors of SQLAlchemy.
        """
        return self._write(transaction, None)

    def write_bulk(self, transaction: Callable[[Connection], T], *, wait_for_disk: bool = True) -> T:
        """Run a transaction as `write` does, with query plans that suit statements with many keys.

        With `wait_for_disk` False, PostgreSQL confirms the commit before it is on disk. If its server crashes within
        the next 0.6 s (three times `wal_writer_delay`), this commit may be lost, unless a later commit has waited for
        the disk. On SQLite only the option `durable` of `open_database` decides whether commits wait.
        """
        return self._write(transaction, None if self.is_sqlite else (_BULK if wait_for_disk else _BULK_ASYNCHRONOUS))

    def _write(self, transaction: Callable[[Connection], T], settings: str | None) -> T:
        self._require_same_file()
        for attempt in range(_TRIES):
            try:
                with self.writer.begin() as connection:
                    if settings:
                        connection.exec_driver_sql(settings)
                    return transaction(connection)
            except DBAPIError as error:
                if attempt == _TRIES - 1 or getattr(error.orig, "sqlstate", None) not in _SERIALIZATION_CODES:
                    raise
        raise AssertionError("unreachable")

    def empty_log(self) -> bool:
        """Empty SQLite's write-ahead log, which has earlier versions of pages. Returns False if readers prevented it.

        Waits one second at most for readers, because writers wait meanwhile. Does nothing on PostgreSQL.
        """
        if not self.is_sqlite:
            return True
        self._require_same_file()
        with closing(self.writer.raw_connection()) as connection:
            driver: sqlite3.Connection = connection.driver_connection  # type: ignore[assignment]
            driver.execute("PRAGMA busy_timeout=1000")
            try:
                busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError:
                return False
            finally:
                driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
            return not busy

    def close(self) -> None:
        """Close all connections."""
        self.writer.dispose()
        self.reader.dispose()

    def _require_same_file(self) -> None:
        if self.file is not None:
            self.file.require_same()


def open_database(
    sql_url: str, *, durable: bool = False, connections: int | None = None, answer_seconds: float | None = None
) -> Database:
    """Create the engines for this URL without connecting. Error messages do not contain values of rows.

    With `durable`, every commit survives a loss of power. Without it SQLite may lose its latest commits. This is
    harmless for a folder watcher, which finds its files again. But a C-STORE sender may delete an image after nightread
    has confirmed it.

    `connections` limits the connections of this process; processes with many threads set it. On PostgreSQL the default
    is four, because a site has many processes. On SQLite the limit holds for reading and for writing separately.

    With `answer_seconds`, a statement on PostgreSQL that takes longer fails, even if the server hangs.

    Raises StopWork if the URL names another kind of database, or SQLite's folder does not exist.
    """
    url = make_url(sql_url)
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(sql_url, Path(url.database or ""), durable=durable, connections=connections)
    if url.get_backend_name() != "postgresql":
        raise StopWork(
            f"The database URL names {url.get_backend_name()}, which nightread does not support: "
            "use PostgreSQL or SQLite."
        )
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        **(_pool(connections) or {"pool_size": 2, "max_overflow": 2}),
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=json_text,
        connect_args={
            "connect_timeout": 5,
            # Without these four options, a process waits about 15 minutes for TCP after the network was cut.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            "application_name": "nightread",
            # A plan that was cached while the tables were small scans them when they are large: 35 times slower.
            # A plan for the first tenth of a cursor scans all arrivals to find recent rows: 30 times slower.
            # JIT takes longer than the statement itself: 1.0 of 1.1 s for incomplete studies.
            "options": f"{url.query.get('options', '')} -c plan_cache_mode=force_custom_plan -c cursor_tuple_fraction=1"
            # A parallel process takes 10 to 70 ms to start: it pays only where a million rows are read.
            " -c jit=off -c parallel_setup_cost=20000"
            + (" -c synchronous_commit=on" if durable else "")
            + statement_timeout(answer_seconds),
        },
    )
    for prepare in (register_arrays, use_closing_cursors):
        event.listen(engine, "connect", lambda connection, _record, prepare=prepare: prepare(connection))
    if answer_seconds is not None:
        limit_answers(engine, answer_seconds)
    return Database(writer=engine, reader=engine)


def _pool(connections: int | None) -> dict[str, Any]:
    """Return options for a pool of this many connections, which reuses the latest one first; empty for None."""
    return {} if connections is None else {"pool_size": connections, "max_overflow": 0, "pool_use_lifo": True}


def _open_sqlite(sql_url: str, path: Path, *, durable: bool, connections: int | None) -> Database:
    if not path.parent.is_dir():
        raise StopWork(
            f"The folder of the database, {path.parent}, does not exist: create it or set NIGHTREAD_STATE_DIR."
        )
    writer, reader = (
        create_engine(
            sql_url,
            **_pool(connections),
            hide_parameters=True,
            json_serializer=json_text,
            connect_args={"timeout": BUSY_SECONDS},
        )
        for _ in range(2)
    )
    file = DatabaseFile(path=path.absolute())
    for engine in (writer, reader):
        event.listen(engine, "connect", partial(_prepare_sqlite, synchronous="FULL" if durable else "NORMAL"))
        event.listen(engine, "connect", lambda _connection, _record: file.remember())
    event.listen(writer, "connect", _statement_journal_in_memory)
    event.listen(writer, "begin", _begin_immediate)
    event.listen(reader, "begin", _begin_deferred)
    return Database(writer=writer, reader=reader, file=file)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any, *, synchronous: str) -> None:
    # The driver's own BEGIN is deferred: if two such transactions write, one fails with "database is locked" at once.
    connection.isolation_level = None
    timeout = f"busy_timeout={BUSY_SECONDS * 1000}"
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", timeout):
        connection.execute(f"PRAGMA {pragma}")


def _statement_journal_in_memory(connection: sqlite3.Connection, _record: Any) -> None:
    """Keep the statement journal in memory; by default SQLite writes it to a file beyond 64 KiB.

    A thousand updates in one transaction exceed 64 KiB: with the journal in memory they take 13 us per row instead of
    22 us (`python -m benchmarks.ledger`). Readers do not use this setting, because it also keeps sorted rows in memory,
    and a reader may sort a million rows.
    """
    connection.execute("PRAGMA temp_store=MEMORY")


@contextmanager
def statement_journal_on_disk(connection: Connection) -> Iterator[None]:
    """Keep the statement journal on disk while the context lasts.

    Enter this context before a transaction that changes a whole table, since its journal can be as large as the table.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.execute("PRAGMA temp_store=FILE")
    try:
        yield
    finally:
        _statement_journal_in_memory(driver, None)


def _begin_immediate(connection: Connection) -> None:
    """Begin a transaction of the writer; try every few milliseconds until SQLite's write lock is free.

    SQLite's own busy handler sleeps up to 0.1 s at a time, even if the lock becomes free. With it, two processes that
    write in turn reach 0.4 of the throughput of one, and sixteen reach 0.25 (`python -m benchmarks --only saturation`).
    """
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    started = time.monotonic()
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while (waited := time.monotonic() - started) < BUSY_SECONDS:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the low byte of an extended code
                    break
                time.sleep(_LONG_PAUSE_SECONDS if waited > _LONG_PAUSES_AFTER_SECONDS else _PAUSE_SECONDS)
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises the error as an error of SQLAlchemy
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN DEFERRED")
