"""Connections: one engine that writes and one that reads."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from db.types import json_text
from nightread.errors import StopWork

BUSY_SECONDS = 20
_NAP_SECONDS, _LONG_NAP_SECONDS = 0.001, 0.005
_SOON_SECONDS = 0.1
_SERIALIZATION_CODES = frozenset({"40001", "40P01"})
_TRIES = 5

T = TypeVar("T")


@dataclass(kw_only=True, slots=True)
class DatabaseFile:
    """The file of an SQLite record, known again by device and inode.

    Who has opened it would go on with a file that was removed or replaced, and never learn that nobody reads it.
    """

    path: Path
    _identity: tuple[int, int] | None = field(default=None, init=False)

    def remember(self) -> None:
        """It was connected to, and therefore exists: this is the one."""
        if self._identity is None:
            self._identity = self._look()

    def require_same(self) -> None:
        """Raise StopWork where another file or none lies at its place."""
        if self._identity is not None and self._look() != self._identity:
            raise StopWork(
                f"The database file {self.path} was removed or replaced while it was in use: "
                "put the right one there; everything starts over with what is there then."
            )

    def _look(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - before each transaction: twice as fast as Path.stat
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return self._identity  # SQLite will say what is wrong with the disk
        return status.st_dev, status.st_ino


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """The record's two doors. On PostgreSQL both are one engine; on SQLite only the writer takes the lock at BEGIN."""

    writer: Engine
    reader: Engine
    file: DatabaseFile | None = None
    """SQLite's; None on a server."""

    @property
    def is_sqlite(self) -> bool:
        """Whether the record is one file on this machine."""
        return self.writer.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; on PostgreSQL each statement sees what is committed by then. Raises StopWork."""
        self._require_same_file()
        with self.reader.connect() as connection:
            yield connection

    def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run `transaction` in one transaction; again when PostgreSQL ended it for a deadlock or a conflict.

        Raises StopWork where SQLite's file was removed or replaced, and what SQLAlchemy raises.
        """
        self._require_same_file()
        for attempt in range(_TRIES):
            try:
                with self.writer.begin() as connection:
                    return transaction(connection)
            except DBAPIError as error:
                if attempt == _TRIES - 1 or getattr(error.orig, "sqlstate", None) not in _SERIALIZATION_CODES:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close all connections."""
        self.writer.dispose()
        self.reader.dispose()

    def _require_same_file(self) -> None:
        if self.file is not None:
            self.file.require_same()


def open_database(sql_url: str, *, durable: bool = False) -> Database:
    """Engines for this URL; connects to nothing yet. Values of rows stay out of error messages.

    `durable`: what is committed outlives a loss of power too. Without it SQLite may forget its latest commits then,
    which is no loss to those who can look again (files in a folder); a sender was told that it may forget its image.
    """
    url = make_url(sql_url)
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(sql_url, Path(url.database or ""), durable=durable)
    if url.get_backend_name() != "postgresql":
        raise StopWork(
            f"The database URL names {url.get_backend_name()}; nightread keeps its record in PostgreSQL or SQLite."
        )
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=2,
        max_overflow=2,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=json_text,
        connect_args={
            "connect_timeout": 5,
            # A network that was cut must not hold a process for the quarter of an hour that TCP would wait.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            "application_name": "nightread",
            # A plan cached while the tables were small scans them whole when they are large: 35 times slower.
            "options": f"{url.query.get('options', '')} -c plan_cache_mode=force_custom_plan"
            + (" -c synchronous_commit=on" if durable else ""),
        },
    )
    return Database(writer=engine, reader=engine)


def _open_sqlite(sql_url: str, path: Path, *, durable: bool) -> Database:
    if not path.parent.is_dir():
        raise StopWork(
            f"The folder of the database, {path.parent}, does not exist: create it or set NIGHTREAD_STATE_DIR."
        )
    writer, reader = (
        create_engine(sql_url, hide_parameters=True, json_serializer=json_text, connect_args={"timeout": BUSY_SECONDS})
        for _ in range(2)
    )
    file = DatabaseFile(path=path.absolute())
    for engine in (writer, reader):
        event.listen(engine, "connect", partial(_prepare_sqlite, synchronous="FULL" if durable else "NORMAL"))
        event.listen(engine, "connect", lambda _connection, _record: file.remember())
    event.listen(writer, "connect", _undo_in_memory)
    event.listen(writer, "begin", _begin_immediate)
    event.listen(reader, "begin", _begin_deferred)
    return Database(writer=writer, reader=reader, file=file)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any, *, synchronous: str) -> None:
    # The driver's own BEGIN is deferred: two such writers end in "database is locked" whatever the timeout.
    connection.isolation_level = None
    waiting = f"busy_timeout={BUSY_SECONDS * 1000}"
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", waiting):
        connection.execute(f"PRAGMA {pragma}")


def _undo_in_memory(connection: sqlite3.Connection, _record: Any) -> None:
    """What would undo one statement of a transaction stays in memory; by default it goes to a file beyond 64 KiB.

    A thousand updates in one transaction are over that: recording them takes 13 us a row instead of 22
    (`python -m benchmarks.ledger`). For the writer alone, since a reader may sort a million rows.
    """
    connection.execute("PRAGMA temp_store=MEMORY")


@contextmanager
def undoing_on_disk(connection: Connection) -> Iterator[None]:
    """For statements over whole tables, before their transaction begins: what would undo them may be all of a table."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.execute("PRAGMA temp_store=FILE")
    try:
        yield
    finally:
        _undo_in_memory(driver, None)


def _begin_immediate(connection: Connection) -> None:
    """Wait for the one writer's lock by asking often.

    SQLite's own waiting sleeps up to a tenth of a second at a time while the lock is long free: two processes that
    write in turn got 0.4 of what one gets, sixteen 0.25 (`python -m benchmarks --only saturation`).
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
                time.sleep(_LONG_NAP_SECONDS if waited > _SOON_SECONDS else _NAP_SECONDS)
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises the error as SQLAlchemy's
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN DEFERRED")
