"""Define column types that behave alike on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, String
from sqlalchemy.types import TypeDecorator

from nightread.content_digest import CONTENT_LENGTH

_CACHE_SIZE = 1024

# An absent value is NULL and not the JSON word null.
Json = JSON(none_as_null=True)


def json_text(value: Any) -> str:
    """Serialise a value to JSON, nine times as fast as `json.dumps`, because this runs twice per image.

    NaN and the infinities are written as by `json.dumps`, so that PostgreSQL refuses them. Raises ValueError for text
    with lone surrogates.
    """
    return to_json(value, inf_nan_mode="constants").decode()


# On SQLite the length stays 64: SQLite does not check it, and a change would rewrite the whole table (schema 0020).
Content = String(CONTENT_LENGTH).with_variant(String(64), "sqlite")
# SQLite assigns row ids only to a column that is declared INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, also on SQLite, which itself returns naive datetimes."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """Return the inherited processor with a cache, because the rows of a batch share their times.

        Only times in UTC are cached: in other time zones two different times in the repeated hour of autumn are equal.
        """
        convert = super().bind_processor(dialect)
        if convert is None:
            return None
        cached = lru_cache(maxsize=_CACHE_SIZE)(convert)
        return lambda value: cached(value) if value is None or value.tzinfo is UTC else convert(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Return the inherited processor; on SQLite, which stores times as text, it has a cache."""
        convert = super().result_processor(dialect, coltype)
        return lru_cache(maxsize=_CACHE_SIZE)(convert) if convert and dialect.name == "sqlite" else convert

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Convert to UTC. Raises ValueError for a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware datetime in UTC."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)
