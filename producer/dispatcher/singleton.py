"""Hold the lock that ensures that only one dispatcher runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db import error_messages
from db.engine import Database
from nightread.errors import StopWork
from nightread.file_lock import FileLockedError, lock_file

_ADVISORY_KEY = 0x64697370  # "disp"
_ALREADY_RUNNING = "Another dispatcher serves this database, and only one may run. Stop it before you start this one."


@contextmanager
def only_dispatcher(database: Database, state_dir: Path) -> Iterator[Callable[[], None]]:
    """Hold the dispatcher's lock. Yields a check, which raises StopWork if the lock was lost.

    On PostgreSQL it is an advisory lock of the session. On SQLite it is a lock on a file in the state folder, which the
    kernel releases when the process ends. Raises StopWork if another dispatcher holds the lock.
    """
    with _file_lock(state_dir) if database.is_sqlite else _advisory_lock(database) as check:
        yield check


@contextmanager
def _file_lock(state_dir: Path) -> Iterator[Callable[[], None]]:
    try:
        lock = lock_file(state_dir / "dispatcher.lock")
    except FileLockedError:
        raise StopWork(_ALREADY_RUNNING) from None
    with lock:
        yield lambda: None


@contextmanager
def _advisory_lock(database: Database) -> Iterator[Callable[[], None]]:
    with database.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_KEY}).scalar_one():
            raise StopWork(_ALREADY_RUNNING)

        def check() -> None:
            try:
                connection.execute(text("SELECT 1"))
            except SQLAlchemyError as error:
                raise StopWork(
                    "The database connection that held the dispatcher's lock was lost, so the dispatcher starts again. "
                    f"The error was: {error_messages.describe(error)}."
                ) from None

        try:
            yield check
        finally:
            # Unlock for the next dispatcher, since a server may notice only later that a session has ended.
            if not connection.invalidated:
                with suppress(SQLAlchemyError):
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})
            connection.invalidate()  # in the pool it would still hold the lock if the unlock failed
