"""Rows that are streamed from PostgreSQL leave no open cursor behind when the connection is lost."""

import gc
from collections.abc import Callable, Generator

import pytest
from servers import PostgresServer
from sqlalchemy import Select, func, literal_column, select, text
from sqlalchemy.exc import DBAPIError

from db.engine import Database
from db.queries.snapshot import snapshot, stream

pytestmark = [pytest.mark.servers, pytest.mark.filterwarnings("error")]

MANY: Select[tuple[int]] = select(literal_column("n")).select_from(func.generate_series(1, 100_000).alias("n"))
END_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


@pytest.mark.parametrize("go_on", [list, Generator.close], ids=["reads on", "stops"])
def test_a_cursor_on_a_lost_connection_is_closed(
    postgres_server: PostgresServer, go_on: Callable[[Generator[object]], object]
) -> None:
    """Its reader gets the error or has no use for it, and the garbage collector finds nothing to warn about."""
    with postgres_server.database() as database:
        with pytest.raises(DBAPIError):
            _lose_connection(database, go_on)
        gc.collect()


def _lose_connection(database: Database, go_on: Callable[[Generator[object]], object]) -> None:
    with snapshot(database) as connection:
        rows = stream(connection, MANY)
        next(rows)
        with database.writer.begin() as other:
            other.execute(END_OTHERS)
        go_on(rows)
        connection.execute(text("SELECT 1"))
