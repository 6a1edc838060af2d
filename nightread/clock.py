"""The clock that tests can set."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)
