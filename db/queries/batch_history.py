"""List batches with their sizes, times and outcomes, and sum them up by worker."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, or_, select

from db.engine import Database
from db.tables import State, batches

MOST_COUNTED = 5000
"""Number of batches that a page sums up, which takes about 50 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRecord:
    """One batch, published, claimed or finished."""

    id: str
    images: int
    bytes: int
    created_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    node: str | None
    process_index: int | None
    release: str | None
    runtime: str | None
    """What ran the networks, with its version: `onnxruntime 1.32.0`."""
    seconds: Mapping[str, float]
    """Seconds by phase of worker.analyse."""
    outcomes: Mapping[str, int]
    """Number of images by state; those in the state `received` are retried."""

    @property
    def requeued(self) -> int:
        """Return the number of images without an outcome in this batch: they are retried in another batch."""
        if self.finished_at is None:
            return 0
        return self.images - sum(images for state, images in self.outcomes.items() if state != State.RECEIVED)

    @property
    def waited_seconds(self) -> float | None:
        """Return the seconds between forming and claiming the batch."""
        return _seconds(self.created_at, self.claimed_at)

    @property
    def worked_seconds(self) -> float | None:
        """Return the seconds between claim and end."""
        return _seconds(self.claimed_at, self.finished_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeTotals:
    """The finished batches of one worker in a period."""

    node: str
    batches: int
    images: int
    requeued: int
    seconds: Mapping[str, float]
    """Seconds by phase."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerTotals:
    """The finished batches of all workers in a period, or the latest of them."""

    by_node: Sequence[NodeTotals]
    left_out_before: datetime | None
    """When the oldest counted batch was formed, if the period has further batches that were not counted; otherwise
    None."""


def batch_records(
    database: Database, *, limit: int, before: tuple[datetime, str] | None = None, batch_id: str | None = None
) -> list[BatchRecord]:
    """List batches, the latest first.

    `before` is the creation time and the id of a batch: the list then starts with the batch that was formed before it.
    """
    statement: Select[Any] = select(batches).order_by(batches.c.created_at.desc(), batches.c.id.desc()).limit(limit)
    if batch_id is not None:
        statement = statement.where(batches.c.id == batch_id)
    if before is not None:
        at, last = before
        earlier = or_(batches.c.created_at < at, batches.c.id < last)
        statement = statement.where(batches.c.created_at <= at, earlier)
    with database.read() as connection:
        return [_record(row) for row in connection.execute(statement)]


def node_totals(database: Database, *, since: datetime, most: int = MOST_COUNTED) -> WorkerTotals:
    """Sum up the latest `most` finished batches that were formed at `since` or later, by worker."""
    statement = (
        select(batches)
        .where(batches.c.created_at >= since, batches.c.finished_at.is_not(None), batches.c.node.is_not(None))
        .order_by(batches.c.created_at.desc())
        .limit(most + 1)
    )
    with database.read() as connection:
        records = [_record(row) for row in connection.execute(statement)]
    counted = records[:most]
    found: dict[str, list[BatchRecord]] = {}
    for record in counted:
        found.setdefault(record.node or "", []).append(record)
    return WorkerTotals(
        by_node=[_totals(node, batches_of_node) for node, batches_of_node in sorted(found.items())],
        left_out_before=counted[-1].created_at if len(records) > most else None,
    )


def _totals(node: str, records: list[BatchRecord]) -> NodeTotals:
    seconds: Counter[str] = Counter()
    for record in records:
        seconds.update(record.seconds)
    return NodeTotals(
        node=node,
        batches=len(records),
        images=sum(record.images for record in records),
        requeued=sum(record.requeued for record in records),
        seconds=dict(seconds),
    )


def _record(row: Row[Any]) -> BatchRecord:
    values = {name: getattr(row, name) for name in _NAMES}
    return BatchRecord(**values, seconds=row.seconds or {}, outcomes=row.outcomes or {})


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - begin).total_seconds()) if begin and end else None


_NAMES = (
    "id",
    "images",
    "bytes",
    "created_at",
    "claimed_at",
    "finished_at",
    "node",
    "process_index",
    "release",
    "runtime",
)
