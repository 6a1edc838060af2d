"""There is one dispatcher: who holds the lock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import error_messages
from db.engine import Database
from nightread.errors import StopWork
from nightread.file_lock import FileLockedError, lock_file

_ADVISORY_KEY = 0x64697370  # "disp"
_TAKEN = "Another dispatcher serves this database: there can be one. Stop it first, or leave this one off."


@contextmanager
def only_dispatcher(database: Database, state_dir: Path) -> Iterator[Callable[[], None]]:
    """Hold the dispatcher's lock; yields a check that raises StopWork once it is lost.

    PostgreSQL: a session's advisory lock. SQLite: a lock on a file beside the state, freed by the kernel at any death.
    """
    with _file_lock(state_dir) if database.is_sqlite else _advisory_lock(database) as check:
        yield check


@contextmanager
def _file_lock(state_dir: Path) -> Iterator[Callable[[], None]]:
    try:
        lock = lock_file(state_dir / "dispatcher.lock")
    except FileLockedError:
        raise StopWork(_TAKEN) from None
    with lock:
        yield lambda: None


@contextmanager
def _advisory_lock(database: Database) -> Iterator[Callable[[], None]]:
    with database.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_KEY}).scalar_one():
            raise StopWork(_TAKEN)

        def check() -> None:
            try:
                connection.execute(text("SELECT 1"))
            except DBAPIError as error:
                raise StopWork(
                    "The connection that held the dispatcher's lock is gone: starting over. "
                    f"The database does not answer: {error_messages.describe(error)}."
                ) from None

        try:
            yield check
        finally:
            # At once, for who comes next: a server may notice only later that a session has ended.
            if not connection.invalidated:
                with suppress(DBAPIError):
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})
            connection.invalidate()  # back in the pool it would go on to hold the lock, had that failed
