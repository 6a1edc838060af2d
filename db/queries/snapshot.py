"""Read several statements from one snapshot, and stream their rows."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, Select

from db.engine import Database


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """Yield a connection whose statements all see the database at the same moment.

    On SQLite this is true of every transaction. On PostgreSQL, by default, each statement sees the latest commits, so
    that counts from several statements would not add up while images change state.
    """
    with database.read() as connection:
        if database.is_sqlite:
            yield connection
        else:
            yield connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def stream(connection: Connection, statement: Select[Any]) -> Generator[Row[Any]]:
    """Yield the rows with at most 1,000 in memory; closing the iterator closes the server's cursor."""
    with connection.execution_options(yield_per=_CHUNK).execute(statement) as result:
        yield from result


_CHUNK = 1000
