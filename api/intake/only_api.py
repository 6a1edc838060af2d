"""Allow only one API per database, because all images sent over HTTP must be in one spool."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from nightread.errors import StopWork, UsageFault

_ADVISORY_KEY = 0x61706921  # "api!"
_ALREADY_RUNNING = "Another API serves this database, and only one may run: stop it first."


class OnlyApi:
    """The lock by which only one API serves a database: an advisory lock of a PostgreSQL session.

    SQLite has no such lock. There the lock of the spool is enough.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._process = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock within the context. Raises UsageFault if another API holds it, and database errors."""
        if not self._database.is_sqlite and not self._acquire():
            raise UsageFault(_ALREADY_RUNNING)
        try:
            yield
        finally:
            self._close()

    def check(self) -> None:
        """Take the lock again if its connection was lost. Raises StopWork if another API holds the lock now.

        Raises database errors while the database is unavailable.
        """
        if self._database.is_sqlite or self._is_connected():
            return
        self._close()
        if not self._acquire():
            raise StopWork(_ALREADY_RUNNING)

    def _is_connected(self) -> bool:
        try:
            return self._connection is not None and self._connection.execute(text("SELECT 1")).scalar() == 1
        except SQLAlchemyError:
            return False

    def _acquire(self) -> bool:
        """Try to take the lock. Return whether this process holds it.

        If a connection was lost and PostgreSQL has not noticed it yet, the earlier session of this process still holds
        the lock. This counts as held.
        """
        connection = self._database.writer.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # the connection stays open, and would occupy a place in the small pool
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_KEY}).scalar_one():
            with connection:
                return connection.execute(_HOLDER, {"key": _ADVISORY_KEY}).scalar() == self._process
        self._connection = connection
        self._process = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        return True

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Unlock now for the next API, since the server may notice the end of the session only later.
            with suppress(SQLAlchemyError), connection:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})


_HOLDER = text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = :key AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
