"""List workers and open batches."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select

from db.engine import Database
from db.ledger.outbox import LIVE_SECONDS
from db.tables import batches
from db.tables import workers as workers_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One worker that has not deregistered."""

    node: str
    slots: int
    model: str | None
    """The model that analyses every image; None if the routing rules decide."""
    device: str
    release: str
    heartbeat_seconds: float
    """Seconds since the last heartbeat."""
    draining: bool = False
    """Whether it finishes its batches and takes no more."""
    batches_left: int = 0
    """Batches that a draining worker has claimed and not finished. For other workers they are not counted: 0."""

    @property
    def alive(self) -> bool:
        """Return whether the heartbeat is recent enough for the dispatcher to count the slots."""
        return self.heartbeat_seconds <= LIVE_SECONDS


def workers(database: Database, *, now: datetime) -> list[Worker]:
    """List all workers by name, including those without a recent heartbeat."""
    with database.read() as connection:
        rows = connection.execute(select(workers_table).order_by(workers_table.c.node)).all()
        draining = [row.node for row in rows if row.draining_at is not None]
        left: dict[str | None, int] = {}
        if draining:
            left = {row.node: row.batches for row in connection.execute(_LEFT, {"nodes": draining})}
    return [
        Worker(
            node=row.node,
            slots=row.slots,
            model=row.model,
            device=row.device,
            release=row.release,
            heartbeat_seconds=max(0.0, (now - row.heartbeat_at).total_seconds()),
            draining=row.draining_at is not None,
            batches_left=left.get(row.node, 0),
        )
        for row in rows
    ]


def open_batches(database: Database) -> tuple[int, int]:
    """Return two numbers: batches published and not yet claimed, and batches claimed and not yet finished."""
    published = batches.c.claimed_at.is_(None)
    with database.read() as connection:
        row = connection.execute(
            select(func.count().filter(published), func.count().filter(~published)).where(
                batches.c.finished_at.is_(None)
            )
        ).one()
    return row[0], row[1]


def unclaimed_batches(database: Database, *, created_before: datetime) -> set[str]:
    """Return the ids of open, unclaimed batches that were created before this time."""
    waiting = (batches.c.finished_at.is_(None), batches.c.claimed_at.is_(None), batches.c.created_at < created_before)
    with database.read() as connection:
        return set(connection.execute(select(batches.c.id).where(*waiting)).scalars())


def known_batches(database: Database, batch_ids: Collection[str]) -> set[str]:
    """Return which of these ids are batches in this database."""
    with database.read() as connection:
        return set(connection.execute(select(batches.c.id).where(batches.c.id.in_(batch_ids))).scalars())


def batches_of(database: Database, node: str) -> int:
    """Return how many batches this worker has claimed and not finished."""
    running = (batches.c.finished_at.is_(None), batches.c.claimed_at.is_not(None), batches.c.node == node)
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(batches).where(*running)).scalar_one()


def unanswered_since(database: Database) -> datetime | None:
    """Return since when no worker has completed a batch, although there were batches; None if there were none.

    If a batch that was formed before the latest completion is still open, this is the time of the completion. Otherwise
    it is the time when the next batch after the completion was formed. A batch that the sweep took back does not count
    as completed, so that a worker that hangs on every batch is noticed.
    """
    latest = select(batches.c.finished_at).where(batches.c.outcomes.is_not(None))
    with database.read() as connection:
        ends = connection.execute(latest.order_by(batches.c.created_at.desc()).limit(_LATEST_BATCHES)).scalars().all()
        later = select(func.min(batches.c.created_at))
        if ends:
            end: datetime = max(ends)
            older = select(batches.c.id).where(batches.c.finished_at.is_(None), batches.c.created_at <= end)
            if connection.execute(older.limit(1)).first() is not None:
                return end
            later = later.where(batches.c.created_at > end)
        since: datetime | None = connection.execute(later).scalar()
        return since


_LATEST_BATCHES = 100
"""The batch that ended last is searched among this number of the latest batches, because most sites have fewer worker
processes."""
_LEFT = (
    select(batches.c.node, func.count().label("batches"))
    .where(batches.c.finished_at.is_(None), batches.c.claimed_at.is_not(None))
    .where(batches.c.node.in_(bindparam("nodes", expanding=True)))
    .group_by(batches.c.node)
)
