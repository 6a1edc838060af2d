"""List the images that wait for a time before they are retried, such as files that are still arriving."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from db.engine import Database
from db.tables import State, in_state, instances, work
from nightread.reasons import Reason

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Postponed:
    """The images that wait for the same reason. They are not ready, so a forecast leaves them out."""

    reason: str
    images: int
    next_at: datetime
    """When the first of them is retried."""
    until: datetime | None
    """When nightread gives up the last of them; None unless the images are still arriving."""


def postponed(database: Database, *, now: datetime, arrival_timeout: timedelta) -> list[Postponed]:
    """Return the waiting images that may not be tried before a later time, by reason, most images first.

    An image that is still arriving is given up when `arrival_timeout` has passed since it arrived or was last written.
    """
    images = func.count().label("images")
    statement = (
        select(
            work.c.reason,
            images,
            func.min(work.c.not_before).label("next_at"),
            func.max(instances.c.arrived_at).label("arrived_at"),
            func.max(instances.c.mtime_ns).filter(instances.c.mtime_ns <= now.timestamp() * 1e9).label("mtime_ns"),
        )
        .join(instances, instances.c.id == work.c.instance_id)
        .where(work.c.not_before > now, in_state(State.RECEIVED), work.c.ordinal == 0)
        .group_by(work.c.reason)
        .order_by(images.desc(), work.c.reason)
    )
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [
        Postponed(
            reason=row.reason or "",
            images=row.images,
            next_at=row.next_at,
            until=_last_change(row.arrived_at, row.mtime_ns) + arrival_timeout
            if row.reason == Reason.STILL_ARRIVING
            else None,
        )
        for row in rows
    ]


def _last_change(arrived_at: datetime, mtime_ns: int | None) -> datetime:
    return max(arrived_at, _EPOCH + timedelta(microseconds=(mtime_ns or 0) // 1000))
