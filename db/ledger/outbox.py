"""Form batches, which are published after the commit (transactional outbox)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, or_, select, update

from db.bulk import is_any_of
from db.engine import Database
from db.tables import IN_BATCH, State, batches, in_state, instances, work, workers

_Ready = Row[int, bool, int, int, int]
_Statement = TypeVar("_Statement", bound=Select[Any])
URGENT = 0
"""The priority of images for whose results a client waits: they overtake batches that are published already."""
RERUN = 10
"""The priority of re-runs: behind all arrivals, whose priorities are 0 to 9."""
_LEAST_WINDOW = 2
LIVE_SECONDS = 45
"""A worker counts only if its heartbeat is younger than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueStatus:
    """The state of the queue, from which the dispatcher decides how many batches to form."""

    ready: int
    """Images that may be dispatched now; counting stops at the number that fills the window."""
    waiting: int
    """Batches published and not yet claimed."""
    running: int
    """Batches claimed and not yet finished."""
    slots: int
    """Processes of live workers."""
    urgent: int = 0
    """Urgent images among those that are ready."""
    starting: int = 0
    """The number of slots that still load their models; they claim their batch later."""

    @property
    def window(self) -> int:
        """Return the number of batches that may wait in Redis: two per process, so that no process waits."""
        return _window(self.slots)

    @property
    def free_places(self) -> int:
        """Return the number of batches that may be published now."""
        return self.window - self.waiting

    @property
    def urgent_places(self) -> int:
        """Return the number of batches of urgent images that may be published now, although the window is full."""
        return 2 * self.window - self.waiting

    @property
    def idle_slots(self) -> int:
        """Return the number of processes without a claimed or published batch."""
        return max(0, self.slots - self.running - self.waiting)


class BatchFilter(Enum):
    """Filter for the images that a batch may contain."""

    ANY = "any"
    UNSUSPECTED = "unsuspected"
    """Leave out images that are marked `alone`."""
    UNTRIED = "untried"
    """Leave out images that are marked `alone`, and images that are retried, because their source may be
    unavailable."""
    URGENT = "urgent"
    """Only urgent images."""
    NOT_URGENT = "not urgent"
    """Leave out urgent images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A batch that is committed and can be published."""

    id: str
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFilter:
    """Filter for the sources whose images a batch may contain."""

    held: frozenset[int] = frozenset()
    """Ids of sources to leave out."""
    only: int | None = None
    """Id of the only source whose images a batch may contain; None for all sources."""

    def applied(self, statement: _Statement) -> _Statement:
        """Add the conditions to a statement that selects from `work` joined with `instances`."""
        if self.only is not None:
            return statement.where(instances.c.source_id == self.only)
        return statement.where(instances.c.source_id.not_in(sorted(self.held))) if self.held else statement


ALL_SOURCES = SourceFilter()


def queue_status(
    database: Database, *, images: int, now: datetime, source_filter: SourceFilter = ALL_SOURCES
) -> QueueStatus:
    """Read the state of the queue.

    `images` is the size of a batch. `ready` is counted only up to the number of images that fills the window. The SQL
    statements do not share a snapshot: a change that this call misses is seen by the next call.
    """
    live_since = now - timedelta(seconds=LIVE_SECONDS)
    with database.read() as connection:
        waiting, running = connection.execute(_OPEN_COUNTS).one()
        slots, starting = connection.execute(_SLOTS, {"since": live_since}).one()
        limit = images * _window(slots)
        bound = {"now": now, "limit": limit}
        ready = connection.execute(_ready_count(source_filter), bound).scalar_one()
        urgent = connection.execute(_urgent_count(source_filter), bound).scalar_one() if ready else 0
    return QueueStatus(ready=ready, waiting=waiting, running=running, slots=slots, urgent=urgent, starting=starting)


def _window(slots: int) -> int:
    return max(_LEAST_WINDOW, 2 * slots)


def form_batches(
    database: Database,
    *,
    count: int,
    images: int,
    max_bytes: int,
    now: datetime,
    batch_filter: BatchFilter = BatchFilter.ANY,
    source_filter: SourceFilter = ALL_SOURCES,
) -> list[Batch]:
    """Form up to `count` batches of `received` images, the most urgent and then the oldest first; they become `queued`.

    A batch has at most `images` images. Urgent images, re-runs and other images never share a batch. All rows that a
    re-run has for one image stay in one batch, because the image is read once for all of them. A batch has at most
    `max_bytes` bytes, unless its first image alone is larger. An image that is marked `alone` gets its own batch.
    """

    def transaction(connection: Connection) -> list[Batch]:
        ready = source_filter.applied(_READY_FOR[batch_filter])
        rows = connection.execute(ready, {"now": now, "limit": count * images}).all()
        whole = _without_cut_image(rows, count * images)
        return [_commit(connection, group, now) for group in _grouped(whole, count, images, max_bytes)]

    # Until a worker claims the batch, a crash of the database's server may undo this commit. Then the images are
    # `received` again, and the published message claims nothing.
    return database.write_bulk(transaction, wait_for_disk=False)


def return_unpublished(database: Database, batch_id: str, *, now: datetime) -> None:
    """Set the `queued` images of an unpublished batch to `received`, and close it unless a worker claimed it."""

    def transaction(connection: Connection) -> None:
        connection.execute(_RETURN, {"batch": batch_id})
        connection.execute(_CLOSE, {"batch": batch_id, "now": now})

    database.write(transaction)


def _without_cut_image(rows: Sequence[_Ready], limit: int) -> Sequence[_Ready]:
    """Leave out the last image of a re-run if the limit may have cut off some of its rows."""
    if not rows or len(rows) < limit or rows[-1].priority != RERUN:
        return rows
    last = rows[-1].instance_id
    whole = [row for row in rows if row.instance_id != last]
    return whole or rows


def _grouped(rows: Sequence[_Ready], count: int, images: int, max_bytes: int) -> Iterator[list[_Ready]]:
    group: list[_Ready] = []
    size = formed = 0
    for row in rows:
        full = len(group) >= images or size + row.size > max_bytes
        same_image = group and row.instance_id == group[-1].instance_id
        apart = row.alone or (group and (group[0].alone or _lane(row) != _lane(group[0])))
        if group and (apart or (full and not same_image)):
            yield group
            formed += 1
            group, size = [], 0
        if formed == count:
            return
        group.append(row)
        size += row.size
    if group:
        yield group


def _lane(row: _Ready) -> tuple[bool, bool]:
    return row.priority == URGENT, row.priority == RERUN


def _commit(connection: Connection, group: list[_Ready], now: datetime) -> Batch:
    batch = Batch(id=str(uuid4()), images=len(group))
    total = sum(row.size for row in group)
    connection.execute(insert(batches), {"id": batch.id, "images": batch.images, "bytes": total, "created_at": now})
    connection.execute(_QUEUE, {"batch": batch.id, "of_group": [row.id for row in group]})
    return batch


_IS_READY = in_state(State.RECEIVED) & or_(work.c.not_before.is_(None), work.c.not_before <= bindparam("now"))

_IS_URGENT = work.c.priority == URGENT

_READY_IDS = select(work.c.id).where(_IS_READY).limit(bindparam("limit"))
_READY_IDS_BY_SOURCE = _READY_IDS.join(instances, instances.c.id == work.c.instance_id)


def _ready_count(source_filter: SourceFilter) -> Select[int]:
    return select(func.count()).select_from(_ready_ids(source_filter).subquery())


def _urgent_count(source_filter: SourceFilter) -> Select[int]:
    return select(func.count()).select_from(_ready_ids(source_filter).where(_IS_URGENT).subquery())


def _ready_ids(source_filter: SourceFilter) -> Select[int]:
    return _READY_IDS if source_filter == ALL_SOURCES else source_filter.applied(_READY_IDS_BY_SOURCE)


_READY = (
    select(work.c.id, work.c.alone, instances.c.size, work.c.priority, work.c.instance_id)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(_IS_READY)
    .order_by(work.c.priority, work.c.id)
    .limit(bindparam("limit"))
    .with_for_update(of=work, skip_locked=True)
)

_READY_FOR = {
    BatchFilter.ANY: _READY,
    BatchFilter.UNSUSPECTED: _READY.where(~work.c.alone),
    BatchFilter.URGENT: _READY.where(_IS_URGENT),
    BatchFilter.NOT_URGENT: _READY.where(work.c.priority > URGENT),
    BatchFilter.UNTRIED: _READY.where(~work.c.alone, work.c.reason.is_(None)),
}

_OPEN_COUNTS = select(
    func.count().filter(batches.c.claimed_at.is_(None)), func.count().filter(batches.c.claimed_at.is_not(None))
).where(batches.c.finished_at.is_(None))

_SLOTS = select(func.coalesce(func.sum(workers.c.slots), 0), func.coalesce(func.sum(workers.c.starting), 0)).where(
    workers.c.heartbeat_at >= bindparam("since"), workers.c.draining_at.is_(None)
)

_QUEUE = (
    update(work)
    .where(is_any_of(work.c.id, "of_group"))
    .values(state=State.QUEUED, batch_id=bindparam("batch"), not_before=None)
)

_RETURN = (
    update(work)
    .where(work.c.batch_id == bindparam("batch"), IN_BATCH, in_state(State.QUEUED))
    .values(state=State.RECEIVED, batch_id=None)
)

_CLOSE = (
    update(batches)
    .where(batches.c.id == bindparam("batch"), batches.c.claimed_at.is_(None))
    .values(finished_at=bindparam("now"))
)
