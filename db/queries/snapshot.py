"""One view for several statements."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

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
