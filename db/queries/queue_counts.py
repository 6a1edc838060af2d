"""Count what waits and what is in batches."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select

from db.engine import Database
from db.ledger.outbox import LIVE_SECONDS
from db.tables import IN_BATCH, State, batches, in_state, work
from db.tables import workers as workers_table


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueCounts:
    """Numbers of images, batches and processes. An image that several models analyse counts once for each model."""

    waiting: int
    """Images that wait for a batch, including those that are `postponed`."""
    postponed: int
    """Images that are not tried before a later time."""
    in_batches: int
    batches_published: int
    """Batches that no worker has claimed yet."""
    batches_claimed: int
    processes: int
    """Processes of live workers."""


def queue_counts(database: Database, *, now: datetime) -> QueueCounts:
    """Count images, batches and processes with one statement, which reads partial indexes.

    This takes 70 ms of CPU for 1,000,000 waiting images on SQLite.
    """
    bound = {"now": now, "live_since": now - timedelta(seconds=LIVE_SECONDS)}
    with database.read() as connection:
        row = connection.execute(_COUNTS, bound).mappings().one()
    return QueueCounts(**row)


_is_open = batches.c.finished_at.is_(None)
_postponed = in_state(State.RECEIVED) & (work.c.not_before > bindparam("now"))

_COUNTS = select(
    select(func.count()).select_from(work).where(in_state(State.RECEIVED)).scalar_subquery().label("waiting"),
    select(func.count()).select_from(work).where(_postponed).scalar_subquery().label("postponed"),
    select(func.count()).select_from(work).where(IN_BATCH).scalar_subquery().label("in_batches"),
    select(func.count())
    .select_from(batches)
    .where(_is_open, batches.c.claimed_at.is_(None))
    .scalar_subquery()
    .label("batches_published"),
    select(func.count())
    .select_from(batches)
    .where(_is_open, batches.c.claimed_at.is_not(None))
    .scalar_subquery()
    .label("batches_claimed"),
    select(func.coalesce(func.sum(workers_table.c.slots), 0))
    .where(workers_table.c.heartbeat_at >= bindparam("live_since"))
    .scalar_subquery()
    .label("processes"),
)
