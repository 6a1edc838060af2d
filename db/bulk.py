"""One statement for many rows, without what SQLAlchemy's own executemany spends on each of them."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import StatementError

Row = Mapping[str, Any]


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Row]) -> int:
    """Run the statement once per row; all rows have the same keys, which name its parameters or columns.

    Returns the number of rows that were written. Raises StatementError for a value that its column's type refuses.

    `connection.execute` binds again for each row what is the same for all: 8 us a row, here 3
    (`python -m benchmarks.ledger`). Values of rows go through the types of their columns as they do there.
    """
    if not rows:
        return 0
    text, bind = _prepared(statement, connection.dialect, tuple(rows[0]))
    try:
        bound = [bind(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise StatementError("a value does not fit its column", text, None, error, hide_parameters=True) from error
    return connection.exec_driver_sql(text, bound).rowcount


@lru_cache(maxsize=64)
def _prepared(statement: Any, dialect: Dialect, keys: tuple[str, ...]) -> tuple[str, Callable[[Row], Any]]:
    """The statement as the driver takes it, and what turns a row into the parameters that the driver takes."""
    compiled = statement.compile(dialect=dialect, column_keys=list(keys))
    converters = {
        name: convert
        for name, parameter in compiled.binds.items()
        if (convert := parameter.type.dialect_impl(dialect).bind_processor(dialect))
    }
    constants = {
        name: converters[name](value) if name in converters else value
        for name, value in compiled.params.items()
        if name not in keys
    }
    if not compiled.positional:
        given = [(name, converters.get(name)) for name in keys]
        return str(
            compiled
        ), lambda row: constants | {name: convert(row[name]) if convert else row[name] for name, convert in given}
    places = [(name, converters.get(name)) for name in compiled.positiontup]
    return str(compiled), lambda row: tuple(
        [
            constants[name] if name in constants else convert(row[name]) if convert else row[name]
            for name, convert in places
        ]
    )
