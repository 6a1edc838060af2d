"""Run one statement for many rows, at a lower cost per row than SQLAlchemy's own executemany.

SQLite runs the statement once per row, at 2 us per row. PostgreSQL would plan and start the statement for each row, at
30 to 120 us per row, so it gets all rows as arrays in one statement.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import repeat
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy import Row as ResultRow
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from db.arrays import ArrayOf

Row = tuple[Any, ...]
_Bind = Callable[[Sequence[Row]], Any]
_Convert = Callable[[Any], Any]
_CHUNK = 5000


def execute_many(connection: Connection, statement: Executable, names: tuple[str, ...], rows: Sequence[Row]) -> int:
    """Run the statement once per row; `names` lists the parameter or column for each value of a row.

    Returns the number of rows that were written. Raises StatementError for a value that its column's type refuses.

    `connection.execute` takes 8 us per row instead of 2 us, because for each row it repeats work that is the same for
    all rows (`python -m benchmarks.ledger`). As in `connection.execute`, the types of the columns convert the values.
    """
    return _run(connection, _prepared(statement, connection.dialect, names), rows) if rows else 0


def write_rows(connection: Connection, statement: Executable, names: tuple[str, ...], rows: Sequence[Row]) -> int:
    """Run an INSERT or UPDATE as `execute_many` does; each of `rows` must concern a different row of the table.

    PostgreSQL runs one statement: INSERT ... SELECT FROM unnest(...), or UPDATE ... FROM unnest(...). If several of
    `rows` update the same row of the table, PostgreSQL applies one of them, not always the last. `execute_many` applies
    all of them in order.
    """
    if not rows:
        return 0
    prepared = _prepared if connection.dialect.name == "sqlite" else _prepared_for_arrays
    return _run(connection, prepared(statement, connection.dialect, names), rows)


class is_any_of(FunctionElement[bool]):  # noqa: N801 - a function of SQL, like those of sqlalchemy.func
    """The condition that a column has one of the values of the list parameter `name`.

    SQLite gets IN with one parameter per value. PostgreSQL gets one array, because each parameter costs 10 us in server
    and client together.
    """

    inherit_cache = True
    type = Boolean()

    def __init__(self, of: ColumnElement[Any], name: str) -> None:
        """`of` is the column, and `name` the name of the parameter."""
        super().__init__(of, bindparam(name, expanding=True, type_=of.type))

    def self_group(self, against: object = None) -> "is_any_of":  # noqa: ARG002
        """Return the condition itself; otherwise SQLite gets `IN (...) = 1`, for which it uses no index."""
        return self


def execute_in_chunks(
    connection: Connection, statement: Executable, name: str, values: Iterable[Any], **others: Any
) -> Iterator[ResultRow[Any]]:
    """Run a query for any number of values of its expanding parameter `name`, in chunks, and yield its rows.

    Databases limit the number of parameters of a statement: SQLite to 32,766, and PostgreSQL to 65,535.
    """
    rest = list(values)
    for start in range(0, len(rest), _CHUNK):
        yield from connection.execute(statement, {name: rest[start : start + _CHUNK], **others})


def _run(connection: Connection, prepared: tuple[str, "_Bind"], rows: Sequence[Row]) -> int:
    text, bind = prepared
    try:
        bound = bind(rows)
    except (TypeError, ValueError) as error:
        raise StatementError("a value does not fit its column", text, None, error, hide_parameters=True) from error
    return connection.exec_driver_sql(text, bound).rowcount


@compiles(is_any_of)
def _compile_list(element: is_any_of, compiler: SQLCompiler, **options: Any) -> str:
    of, parameter = element.clauses
    return compiler.process(of.in_(parameter), **options)


@compiles(is_any_of, "postgresql")
def _compile_array(element: is_any_of, compiler: SQLCompiler, **options: Any) -> str:
    of, parameter = element.clauses
    array = bindparam(parameter.key, type_=ArrayOf(of.type))
    return f"{compiler.process(of, **options)} = ANY ({compiler.process(array, **options)})"


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
    """Return the function that turns rows into parameters: in the order of `places`, or by name if `places` is None.

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


@lru_cache(maxsize=64)
def _prepared_for_arrays(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> tuple[str, _Bind]:
    """Return the statement with one array per name, and the function that turns rows into arrays."""
    types = _types(statement, names)
    arrays = [bindparam(name, type_=ArrayOf(types[name])) for name in names]
    columns = [column(name, types[name]) for name in names]
    given = func.unnest(*arrays).table_valued(*columns).render_derived(name="given")
    if statement.is_insert:
        statement = statement.from_select(list(names), select(*given.c))
    else:
        statement = visitors.replacement_traverse(statement, {}, partial(_column_for, given.c))
    compiled = statement.compile(dialect=dialect)
    convert = {
        name: parameter.type.dialect_impl(dialect).bind_processor(dialect) or _unchanged
        for name, parameter in compiled.binds.items()
    }
    constants = {name: convert[name](value) for name, value in compiled.params.items() if name not in names}
    encoders = [convert[name] for name in names]

    def bind(rows: Sequence[Row]) -> dict[str, Any]:
        values = zip(*rows, strict=True)
        arrays = {name: encode(each) for name, encode, each in zip(names, encoders, values, strict=True)}
        return arrays | constants

    return str(compiled), bind


def _types(statement: Any, names: tuple[str, ...]) -> dict[str, TypeEngine[Any]]:
    """Return the type of the column to which each name belongs.

    This is the column that an INSERT fills, or that an UPDATE compares or sets.
    """
    columns = statement.table.c
    if statement.is_insert:
        return {name: columns[name].type for name in names}
    found = {each.key: each.type for each in visitors.iterate(statement) if isinstance(each, BindParameter)}
    for name, value in statement._values.items():  # noqa: SLF001 - SQLAlchemy offers no other way to read them
        if isinstance(value, BindParameter):
            found[value.key] = columns[getattr(name, "key", name)].type
    return found


def _column_for(columns: Any, element: Any, **_: object) -> ColumnElement[Any] | None:
    """Return the column that replaces a parameter of a statement; None for an element that is not replaced."""
    return columns.get(element.key) if isinstance(element, BindParameter) else None


def _unchanged(value: Any) -> Any:
    return value
