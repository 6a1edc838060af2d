"""One statement for many rows, without what SQLAlchemy's own executemany spends on each of them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import StatementError

Row = tuple[Any, ...]
_Bind = Callable[[Row], Any]


def execute_many(connection: Connection, statement: Executable, names: tuple[str, ...], rows: Sequence[Row]) -> int:
    """Run the statement once per row; `names` says which parameter or column each value of a row is for.

    Returns the number of rows that were written. Raises StatementError for a value that its column's type refuses.

    `connection.execute` binds again for each row what is the same for all: 8 us a row, here 2
    (`python -m benchmarks.ledger`). Values of rows go through the types of their columns as they do there.
    """
    if not rows:
        return 0
    text, bind = _prepared(statement, connection.dialect, names)
    try:
        bound = [bind(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise StatementError("a value does not fit its column", text, None, error, hide_parameters=True) from error
    return connection.exec_driver_sql(text, bound).rowcount


@lru_cache(maxsize=64)
def _prepared(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> tuple[str, _Bind]:
    """The statement as the driver takes it, and what turns a row into the parameters that the driver takes."""
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
    arrange = _arrangement((*names, *constants), compiled.positiontup if compiled.positional else None)
    return str(compiled), _binder(to_convert, tuple(constants.values()), arrange)


def _arrangement(names: tuple[str, ...], places: Sequence[str] | None) -> _Bind:
    """Values in the order of `names` become what stands at the `places`, or parameters by name."""
    if places is None:
        return lambda values: dict(zip(names, values, strict=True))
    if len(places) == 1:
        return lambda values: (values[names.index(places[0])],)
    return itemgetter(*(names.index(name) for name in places))


def _binder(to_convert: Sequence[tuple[int, Callable[[Any], Any]]], constants: Row, arrange: _Bind) -> _Bind:
    def bind(row: Row) -> Any:
        values = [*row, *constants]
        for place, convert in to_convert:
            if values[place] is not None:
                values[place] = convert(values[place])
        return arrange(values)  # type: ignore[arg-type]

    return bind
