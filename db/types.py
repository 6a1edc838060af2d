"""Column types that behave alike on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer
from sqlalchemy.types import TypeDecorator

_REMEMBERED = 1024

# An absent value is NULL and not the JSON word null.
Json = JSON(none_as_null=True)


def json_text(value: Any) -> str:
    """The JSON of a value, for `create_engine`: a ninth of the time of `json.dumps`, which is paid twice an image.

    NaN and the infinities are written as `json.dumps` writes them, for PostgreSQL to refuse. Raises ValueError for text
    with lone surrogates.
    """
    return to_json(value, inf_nan_mode="constants").decode()


# SQLite gives out row ids only for a column declared INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite would hand it back naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """As without; what was converted lately is remembered, since the rows of a batch share their times.

        In UTC alone: in other zones the hour that comes twice in autumn has equal times that are not the same.
        """
        convert = super().bind_processor(dialect)
        if convert is None:
            return None
        remembering = lru_cache(maxsize=_REMEMBERED)(convert)
        return lambda value: remembering(value) if value is None or value.tzinfo is UTC else convert(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """As without; what SQLite has as text is remembered too."""
        convert = super().result_processor(dialect, coltype)
        return lru_cache(maxsize=_REMEMBERED)(convert) if convert and dialect.name == "sqlite" else convert

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Store UTC. Raises ValueError for a naive value."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read back aware."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)
