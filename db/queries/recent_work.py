"""Sum up the batches of the latest minutes, and find the latest arrival and outcome, for metrics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select

from db.engine import Database
from db.store_tables import deliveries
from db.tables import State, batches, instances, work


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentWork:
    """The batches that ended in a time range."""

    sizes: Sequence[int]
    """The number of images of each batch that a worker completed, in ascending order."""
    taken_back: int
    """Batches that the sweep or a new process took back: their images are analysed again in other batches."""
    finished_images: int
    requeued_images: int
    """Images that a completed batch put back, because of a temporary error."""
    seconds: Mapping[str, float]
    """Seconds by phase of worker.analyse."""


def recent_work(database: Database, *, since: datetime, oldest: datetime, until: datetime) -> RecentWork:
    """Sum up the batches that ended after `since`, among those that were formed at `oldest` or later."""
    sizes: list[int] = []
    outcomes: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    taken_back = 0
    with database.read() as connection:
        for row in connection.execute(_ENDED, {"since": since, "oldest": oldest, "until": until}):
            if row.outcomes is None:
                taken_back += 1
                continue
            sizes.append(row.images)
            outcomes.update({state: images for state, images in row.outcomes.items() if state in _STATES})
            seconds.update(row.seconds or {})
    requeued = outcomes.pop(State.RECEIVED.value, 0)
    return RecentWork(
        sizes=sorted(sizes),
        taken_back=taken_back,
        finished_images=outcomes.total(),
        requeued_images=requeued,
        seconds=dict(seconds),
    )


def latest_times(database: Database) -> tuple[datetime | None, datetime | None]:
    """Return the times of the latest arrival and of the latest outcome."""
    with database.read() as connection:
        arrival = connection.execute(select(func.max(instances.c.arrived_at))).scalar()
        outcome = select(func.max(work.c.finished_at)).where(work.c.finished_at.is_not(None))
        return arrival, connection.execute(outcome).scalar()


def delivery_counts(database: Database) -> dict[str, int]:
    """Return the number of deliveries of reports by state."""
    statement = select(deliveries.c.state, func.count().label("number")).group_by(deliveries.c.state)
    with database.read() as connection:
        return {row.state: row.number for row in connection.execute(statement)}


_STATES = frozenset(state.value for state in State)
_ENDED = select(batches.c.images, batches.c.outcomes, batches.c.seconds).where(
    batches.c.created_at >= bindparam("oldest"),
    batches.c.finished_at > bindparam("since"),
    batches.c.finished_at <= bindparam("until"),
)
