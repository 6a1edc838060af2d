"""Send lists of values to PostgreSQL as arrays in its binary format.

psycopg encodes lists in Python, value by value, at 0.5 us per value (`python -m benchmarks.ledger`). A batch has 45
columns, and most columns have the same few objects for all images: this module encodes each object once. PostgreSQL
reads the format with `array_recv` (src/backend/utils/adt/arrayfuncs.c) and the `recv` function of the element type.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import JSON, BigInteger, Boolean, Dialect, Float, Integer, String
from sqlalchemy.types import TypeEngine, UserDefinedType

from db.types import UtcDateTime, json_text

_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEADER, _EMPTY = struct.Struct(">iiIii"), struct.Struct(">iiI")  # dimensions, NULL flag, type, length, first index
_BIG_INTEGER, _INTEGER, _FLOAT = (struct.Struct(f">i{code}").pack for code in "qid")


class EncodedArray(bytes):
    """The binary form of an array; `register_arrays` makes psycopg send it as it is."""

    __slots__ = ()


class ArrayOf(UserDefinedType[Sequence[Any]]):
    """The type of a parameter that is an array of values of `item_type`; only PostgreSQL has arrays."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, item_type: TypeEngine[Any]) -> None:
        """`item_type` is the type of the elements; `_ELEMENTS` must have it."""
        self.item_type = item_type

    def get_col_spec(self, **_: object) -> str:
        """Return the type's name in SQL, without a length: a cast to VARCHAR(n) would cut longer text silently."""
        return f"{_element_of(self.item_type).sql_type}[]"

    def bind_processor(self, dialect: Dialect) -> Callable[[Iterable[Any] | None], EncodedArray | None]:  # noqa: ARG002
        """Return the function that encodes a list. It raises ValueError or TypeError for a value of another type."""
        element = _element_of(self.item_type)
        return lambda values: None if values is None else _encode(element, list(values))


def register_arrays(connection: Any) -> None:
    """Make this connection of psycopg send EncodedArray as it is; the cast in the statement gives its type."""
    from psycopg.adapt import Dumper  # noqa: PLC0415 - psycopg is installed only where PostgreSQL is used
    from psycopg.pq import Format  # noqa: PLC0415

    class EncodedArrayDumper(Dumper):
        format = Format.BINARY

        def dump(self, obj: EncodedArray) -> EncodedArray:
            return obj

    connection.adapters.register_dumper(EncodedArray, EncodedArrayDumper)


_Values = Sequence[Any]


class _Element(NamedTuple):
    """How the values of one element type are encoded."""

    sql_type: str
    oid: int
    """Number of the type in PostgreSQL's `pg_type`; it is the same in all versions."""
    encode: Callable[[Any], bytes]
    """Returns the length and the bytes of a value."""
    encode_all: Callable[["_Element", _Values], bytes]
    """Returns the lengths and the bytes of several values; some values may be None."""


def _encode(element: _Element, values: _Values) -> EncodedArray | None:
    """Return the encoded array. Return None if all values are None: `unnest` fills a missing array with NULL."""
    if not values:
        return EncodedArray(_EMPTY.pack(0, 0, element.oid))
    if values.count(None) == len(values):
        return None
    try:
        body = element.encode_all(element, values)
    except (struct.error, AttributeError, OverflowError) as error:
        raise ValueError("a value does not fit its column") from error
    return EncodedArray(_HEADER.pack(1, 1, element.oid, len(values), 1) + body)


def _element_of(type_: TypeEngine[Any]) -> _Element:
    return next(element for sort, element in _ELEMENTS if isinstance(type_, sort))


def _by_object(element: _Element, values: _Values) -> bytes:
    """Encode each object once.

    Objects are compared by identity, because two different times in the repeated hour of autumn are equal.
    """
    distinct = {id(value): value for value in values}
    encoded = {key: _NULL if value is None else element.encode(value) for key, value in distinct.items()}
    return b"".join([encoded[id(value)] for value in values])


def _by_value(element: _Element, values: _Values) -> bytes:
    """Encode equal values once. Most columns have few different values, but each header has its own string objects."""
    encoded = {value: _NULL if value is None else element.encode(value) for value in set(values)}
    return b"".join(map(encoded.__getitem__, values))


def _each(element: _Element, values: _Values) -> bytes:
    """Encode each value, without a search for equal values: most numbers differ from image to image."""
    return b"".join([_NULL if value is None else element.encode(value) for value in values])


def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH.pack(len(data)) + data


def _json(value: object) -> bytes:
    return _text(json_text(value))


def _boolean(value: object) -> bytes:
    return b"\0\0\0\1\1" if value else b"\0\0\0\1\0"


def _time(value: datetime) -> bytes:
    if value.tzinfo is None:
        raise ValueError("a naive datetime cannot be stored")
    return _BIG_INTEGER(8, (value.astimezone(UTC) - _EPOCH) // _MICROSECOND)


_ELEMENTS: tuple[tuple[type[TypeEngine[Any]], _Element], ...] = (
    (UtcDateTime, _Element("TIMESTAMP WITH TIME ZONE", 1184, _time, _by_object)),
    (JSON, _Element("JSON", 114, _json, _by_object)),
    (BigInteger, _Element("BIGINT", 20, partial(_BIG_INTEGER, 8), _each)),
    (Integer, _Element("INTEGER", 23, partial(_INTEGER, 4), _each)),
    (Float, _Element("DOUBLE PRECISION", 701, partial(_FLOAT, 8), _each)),
    (Boolean, _Element("BOOLEAN", 16, _boolean, _by_value)),
    (String, _Element("VARCHAR", 1043, _text, _by_value)),
)
"""The element type for each column type. The first match counts, so BigInteger is before Integer, its base class."""
