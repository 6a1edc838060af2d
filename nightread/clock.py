"""Define the type of a clock, so that tests can pass one that they set."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time, in UTC and with its time zone."""
    return datetime.now(UTC)
