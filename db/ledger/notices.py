"""Return the notices that wait for a channel, and store the results of attempts to send them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from db.alarm_tables import notices
from db.engine import Database

RETRY_SECONDS = (10, 30, 120, 600, 1800, 3600)
"""Pauses before the next attempts; the last one is repeated."""
GIVE_UP_AFTER = timedelta(hours=24)
ATTEMPT = timedelta(minutes=2)
"""Time reserved for one attempt. If the sender dies, the notice is sent again after this time. Every attempt is shorter
(delivery.alarms.channels.LONGEST_ATTEMPT_SECONDS)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One message for one channel."""

    id: int
    alarm_id: int | None
    channel: str
    body: Mapping[str, Any]
    created_at: datetime
    not_before: datetime
    attempts: int


def waiting_notices(database: Database, *, now: datetime) -> list[Notice]:
    """Return the notices that are due, oldest first: of each alarm and channel, only the oldest unsent notice."""
    columns = [notices.c[name] for name in Notice.__slots__]
    statement = select(*columns).where(notices.c.not_before.is_not(None)).order_by(notices.c.id)
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return list(_first_of_each([Notice(**row._mapping) for row in rows], now))  # noqa: SLF001 - public in SQLAlchemy


def claim_notice(database: Database, notice: Notice, *, now: datetime) -> bool:
    """Begin an attempt; return False if another process has begun it."""
    statement = (
        update(notices)
        .where(notices.c.id == notice.id, notices.c.attempts == notice.attempts, notices.c.not_before.is_not(None))
        .values(attempts=notice.attempts + 1, not_before=now + ATTEMPT)
    )
    return bool(database.write(lambda connection: connection.execute(statement).rowcount))


def end_attempt(database: Database, notice: Notice, problem: str | None, *, now: datetime) -> None:
    """Store that the notice was sent.

    If there was a `problem`, store the time of the next attempt instead; give up after one day.
    """
    values: dict[str, Any] = {"sent_at": now, "not_before": None, "detail": None}
    if problem is not None:
        pause = RETRY_SECONDS[min(notice.attempts, len(RETRY_SECONDS) - 1)]
        again = None if now - notice.created_at >= GIVE_UP_AFTER else now + timedelta(seconds=pause)
        values = {"not_before": again, "detail": problem[:100]}
    statement = update(notices).where(notices.c.id == notice.id).values(**values)
    database.write(lambda connection: connection.execute(statement))


def _first_of_each(waiting: Sequence[Notice], now: datetime) -> Iterator[Notice]:
    seen: set[tuple[str, int]] = set()
    for notice in waiting:
        if notice.alarm_id is not None:
            if (notice.channel, notice.alarm_id) in seen:
                continue
            seen.add((notice.channel, notice.alarm_id))
        # A time far in the future was written before the clock was set back: send the notice now.
        if notice.not_before <= now or notice.not_before - now > timedelta(seconds=2 * max(RETRY_SECONDS)):
            yield notice
