"""One view for several statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, Select

from db.engine import Database


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A connection whose statements all see the same moment, however much is committed meanwhile.

    SQLite does so in any transaction; PostgreSQL by itself only within one statement, so that counts taken one after
    the other would not add up while images are moving.
    """
    with database.read() as connection:
        if database.is_sqlite:
            yield connection
        else:
            yield connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def stream(connection: Connection, statement: Select[Any]) -> Iterator[Row[Any]]:
    """The rows, a thousand in memory at a time; leaving early closes the cursor of the server."""
    with connection.execution_options(yield_per=_CHUNK).execute(statement) as result:
        yield from result


_CHUNK = 1000
