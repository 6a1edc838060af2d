"""Only one API serves a database: two spools would be one source, and images of one of them could not be found."""

import pytest
from sqlalchemy import text

from api.intake.only_api import OnlyApi
from db.engine import Database
from nightread.errors import StopWork, UsageFault

pytestmark = pytest.mark.servers
_END_LOCK_HOLDERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
    WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _end_lock_holders(database: Database) -> None:
    with database.read() as connection:
        connection.execute(text(_END_LOCK_HOLDERS))


def test_a_second_api_does_not_start(request: pytest.FixtureRequest) -> None:
    """Whatever its spool is; it may start after the first one has ended."""
    with request.getfixturevalue("postgres_server").database() as database:
        with OnlyApi(database).held():
            with pytest.raises(UsageFault, match="Another API"), OnlyApi(database).held():
                pass
            with database.read() as connection:  # the lock takes no place in the pool
                assert database.writer.pool.checkedout() == 1  # type: ignore[attr-defined]
                connection.rollback()
        with OnlyApi(database).held():
            pass


def test_a_lost_lock_is_taken_again_unless_another_api_has_it(request: pytest.FixtureRequest) -> None:
    """A restart of PostgreSQL does not end the API."""
    with request.getfixturevalue("postgres_server").database() as database:
        lock = OnlyApi(database)
        with lock.held():
            _end_lock_holders(database)
            lock.check()
            lock.check()
            with pytest.raises(UsageFault), OnlyApi(database).held():
                pass
            _end_lock_holders(database)
            with OnlyApi(database).held(), pytest.raises(StopWork, match="Another API"):
                lock.check()
