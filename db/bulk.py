"""Run one statement for many rows, at a lower cost per row than SQLAlchemy's own executemany."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy import Row as ResultRow
from sqlalchemy.exc import StatementError

Row = tuple[Any, ...]
_Bind = Callable[[Sequence[Row]], list[Any]]
_Convert = Callable[[Any], Any]
_CHUNK = 5000


def execute_many(connection: Connection, statement: Executable, names: tuple[str, ...], rows: Sequence[Row]) -> int:
    """Run the statement once per row; `names` lists the parameter or column of each value of a row.

    Returns the number of rows that were written. Raises StatementError for a value that its column's type refuses.

    `connection.execute` repeats work for each row that is the same for all rows: 8 us per row instead of 2 us
    (`python -m benchmarks.ledger`). As in `connection.execute`, the types of the columns convert the values.
    """
    if not rows:
        return 0
    text, bind = _prepared(statement, connection.dialect, names)
    try:
        bound = bind(rows)
    except (TypeError, ValueError) as error:
        raise StatementError("a value does not fit its column", text, None, error, hide_parameters=True) from error
    return connection.exec_driver_sql(text, bound).rowcount


def execute_in_chunks(
    connection: Connection, statement: Executable, name: str, values: Iterable[Any], **others: Any
) -> Iterator[ResultRow[Any]]:
    """Run a query for all values of its expanding parameter, however many there are, and yield its rows.

    Databases limit the number of parameters of a statement: SQLite to 32,766, and PostgreSQL to 65,535.
    """
    rest = list(values)
    for start in range(0, len(rest), _CHUNK):
        yield from connection.execute(statement, {name: rest[start : start + _CHUNK], **others})


@lru_cache(maxsize=64)
def _prepared(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> tuple[str, _Bind]:
    """Return the statement as text for the driver, and the function that turns rows into the driver's parameters."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    converters = {
        name: convert
        for name, parameter in compiled.binds.items()
        if (convert := parameter.type.dialect_impl(dialect).bind_processor(dialect))
    }
    constants = {
        name: converters[name](value) if name in converters else value
        for name, value in compiled.params.items()
        if name not in names
    }
    to_convert = [(place, converters[name]) for place, name in enumerate(names) if name in converters]
    return str(compiled), _binder(to_convert, constants, names, compiled.positiontup if compiled.positional else None)


def _binder(
    to_convert: Sequence[tuple[int, _Convert]],
    constants: dict[str, Any],
    names: tuple[str, ...],
    places: Sequence[str] | None,
) -> _Bind:
    """Return the function that turns rows into parameters: in the order of `places`, or by name if that is None.

    A row has its values in the order of `names`. The function converts column by column and leaves columns without a
    converter untouched, because a loop over all values in Python is slow.
    """
    all_names = (*names, *constants)
    order = None if places is None else [all_names.index(name) for name in places]

    def bind(rows: Sequence[Row]) -> list[Any]:
        columns: list[Iterable[Any]] = [*zip(*rows, strict=True), *map(repeat, constants.values())]
        for place, convert in to_convert:
            columns[place] = [None if value is None else convert(value) for value in columns[place]]
        if order is None:
            return [dict(zip(all_names, values, strict=True)) for values in zip(*columns, strict=False)]
        return list(zip(*(columns[place] for place in order), strict=False))

    return bind
