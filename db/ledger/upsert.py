"""Insert rows unless they exist: INSERT ... ON CONFLICT DO NOTHING, in both dialects."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from db.bulk import Row, write_rows


def insert_if_absent(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> int:
    """Insert rows with values of these columns; leave rows whose key exists unchanged.

    Returns the number of rows that were inserted.
    """
    return write_rows(connection, _statement(connection.dialect.name, table), columns, rows)


@cache
def _statement(dialect: str, table: Table) -> Executable:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()
