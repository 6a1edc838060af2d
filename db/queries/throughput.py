"""Compute throughput and remaining time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, select

from db.engine import Database
from db.ledger.outbox import RERUN
from db.queries.steady_rate import SteadyRate, steady_rate
from db.tables import IN_BATCH, State, batches, in_state, instances, work

RECENT = timedelta(seconds=60)
_LONGEST_BATCH = timedelta(minutes=15)
"""The first claim of a period is searched among the batches that were formed up to this long before the period."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """The present throughput in images per second, and the remaining time."""

    per_second: float
    eta_seconds: float | None
    """The remaining time. It is 0 if no image is left, and None if no image was finished in the last 60 s."""
    soonest_seconds: float | None = None
    """The remaining time at the highest throughput of the last ten minutes; None if `eta_seconds` is None."""
    latest_seconds: float | None = None
    """The remaining time at the lowest throughput of the last ten minutes; None if this throughput was 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchDuration:
    """The time for which one batch occupied its process."""

    images: int
    seconds: float
    """Time for reading files and for predictions; the time for the database is not included."""


def latest_batches(database: Database, count: int) -> list[BatchDuration]:
    """Return the durations of the latest `count` batches for which times were recorded."""
    with database.read() as connection:
        rows = connection.execute(_LATEST, {"count": count})
        return [
            BatchDuration(images=row.images, seconds=sum(row.seconds.get(phase, 0.0) for phase in _PHASES))
            for row in rows
            if row.seconds
        ]


def pace(database: Database, *, unfinished: int, now: datetime) -> Pace:
    """Compute the throughput, and from it the remaining time for the unfinished images.

    While images are left, the throughput is that of the last ten minutes of work (db.queries.steady_rate), or 0 if no
    image was finished in the last 60 s. If no image is left, it is that of the last 60 s.
    """
    row = _finished_since(database, now - RECENT, _LONGEST_BATCH, now)
    recent = _per_second(row, earliest=now - RECENT, latest=now if unfinished else None)
    if unfinished == 0:
        return Pace(per_second=recent, eta_seconds=0.0)
    if not recent:
        return Pace(per_second=0.0, eta_seconds=None)
    steady = steady_rate(database, now=now) or SteadyRate(mean=recent, slowest=recent, fastest=recent)
    return Pace(
        per_second=steady.mean,
        eta_seconds=unfinished / steady.mean if steady.mean else None,
        soonest_seconds=unfinished / steady.fastest if steady.mean else None,
        latest_seconds=unfinished / steady.slowest if steady.slowest else None,
    )


def rate(database: Database, *, since: datetime) -> float | None:
    """Return the images per second of a whole run; None if there is no outcome.

    The run lasts from the first claim since `since` to the last outcome.
    """
    return _per_second(_finished_since(database, since, timedelta(), None), earliest=since, latest=None) or None


def oldest_waiting(database: Database, *, leave_out: Collection[int] = ()) -> datetime | None:
    """Return the arrival time of the waiting image with the lowest id; None if no image waits for a batch.

    The images of the sources in `leave_out` do not count.
    """
    condition = _WAITING
    if leave_out:
        of_others = select(instances.c.id).where(instances.c.source_id.not_in(leave_out))
        condition = and_(condition, work.c.instance_id.in_(of_others))
    return _oldest(database, condition)


def oldest_unfinished(database: Database) -> datetime | None:
    """Return the arrival time of the oldest image without an outcome; None if there is none."""
    found = [_oldest(database, condition) for condition in (_WAITING, and_(IN_BATCH, work.c.ordinal == 0))]
    return min(filter(None, found), default=None)


def _oldest(database: Database, condition: ColumnElement[bool]) -> datetime | None:
    # `+ 0` prevents both databases from reading all work in the order of ids until one row matches.
    first = select(func.min(work.c.id + 0)).where(condition).scalar_subquery()
    arrival = select(instances.c.arrived_at).join(work, work.c.instance_id == instances.c.id)
    with database.read() as connection:
        return connection.execute(arrival.where(work.c.id == first)).scalar()


def _finished_since(
    database: Database, since: datetime, reach: timedelta, now: datetime | None
) -> Row[int, datetime, datetime]:
    """Return the number of outcomes since `since`, the time of the first claim, and the time of the last outcome.

    The first claim is searched among the batches that ended at `since` or later. Outcomes after `now` do not count:
    they were written before the clock was set back.
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


_WAITING = and_(in_state(State.RECEIVED), work.c.priority < RERUN)  # without re-runs
_PHASES = ("read", "predict")  # phases of worker.analyse
_LATEST = (
    select(batches.c.images, batches.c.seconds)
    .where(batches.c.seconds.is_not(None))
    .order_by(batches.c.created_at.desc())
    .limit(bindparam("count"))
)
