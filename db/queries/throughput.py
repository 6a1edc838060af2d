"""How fast it goes, and when it will be done."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, bindparam, func, select

from db.engine import Database
from db.tables import State, batches, in_state, instances, work

RECENT = timedelta(seconds=60)
_LONGEST_BATCH = timedelta(minutes=15)
"""Batches made before this are not looked at: their images count, but say nothing about when work began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Images per second now, and what follows for those that are left."""

    per_second: float
    eta_seconds: float | None
    """0 when nothing is left, None when nothing moves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """What one batch took its process."""

    images: int
    seconds: float
    """In which files were read and the network worked: waiting for the ledger is no pace."""


def latest_batches(database: Database, count: int) -> list[Worked]:
    """Of the batches made last, so many that were recorded by who claimed them."""
    with database.read() as connection:
        rows = connection.execute(_LATEST, {"count": count})
        return [
            Worked(images=row.images, seconds=sum(row.seconds.get(phase, 0.0) for phase in _PHASES))
            for row in rows
            if row.seconds
        ]


def pace(database: Database, *, unfinished: int, now: datetime) -> Pace:
    """From the outcomes of the last minute, or of as much of it as there was work."""
    row = _finished_since(database, now - RECENT, _LONGEST_BATCH, now)
    per_second = _per_second(row, earliest=now - RECENT, latest=now if unfinished else None)
    if unfinished == 0:
        return Pace(per_second=per_second, eta_seconds=0.0)
    return Pace(per_second=per_second, eta_seconds=unfinished / per_second if per_second else None)


def rate(database: Database, *, since: datetime) -> float | None:
    """Images per second of a whole run: outcomes since `since`, from the first claim to the last outcome."""
    return _per_second(_finished_since(database, since, timedelta(), None), earliest=since, latest=None) or None


def oldest_waiting(database: Database) -> datetime | None:
    """When the arrival came that waits longest for its turn."""
    # The sum keeps planners from walking all work in the order of its ids until one waits.
    first = select(func.min(work.c.id + 0)).where(in_state(State.RECEIVED)).scalar_subquery()
    arrival = select(instances.c.arrived_at).join(work, work.c.instance_id == instances.c.id)
    with database.read() as connection:
        return connection.execute(arrival.where(work.c.id == first)).scalar()


def _finished_since(
    database: Database, since: datetime, reach: timedelta, now: datetime | None
) -> Row[int, datetime, datetime]:
    """Images that got their outcome, the first claim among their batches, and the last outcome.

    What lies after `now` was written under a clock that has been set back.
    """
    recent: ColumnElement[bool] = work.c.finished_at >= since
    if now is not None:
        recent &= work.c.finished_at <= now
    first_claim = (
        select(func.min(batches.c.claimed_at))
        .where(batches.c.created_at >= since - reach, batches.c.finished_at >= since)
        .scalar_subquery()
    )
    with database.read() as connection:
        return connection.execute(
            select(
                select(func.count())
                .select_from(work)
                .where(recent, work.c.ordinal == 0)
                .scalar_subquery()
                .label("images"),
                first_claim.label("begun"),
                select(func.max(work.c.finished_at)).where(recent).scalar_subquery().label("ended"),
            )
        ).one()


def _per_second(row: Row[int, datetime, datetime], *, earliest: datetime, latest: datetime | None) -> float:
    if not row.images:
        return 0.0
    begun = max(row.begun or earliest, earliest)
    seconds = ((latest or row.ended) - begun).total_seconds()
    return float(row.images / seconds) if seconds > 0 else 0.0


_PHASES = ("read", "predict")  # of worker.analyse
_LATEST = (
    select(batches.c.images, batches.c.seconds)
    .where(batches.c.seconds.is_not(None))
    .order_by(batches.c.created_at.desc())
    .limit(bindparam("count"))
)
