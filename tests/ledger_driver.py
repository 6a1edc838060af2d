"""Call the ledger with default arguments: one source, one worker process, and a settable clock."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select

from db import ledger, queries
from db.engine import Database
from db.ledger import Arrival, Batch, Claimed, FramePrediction, Outcome, Registered, WorkerProcess
from db.tables import State, batches, instances, predictions, work

LEASE = timedelta(seconds=60)
_numbers = count()


@dataclass
class SettableClock:
    """A Clock whose time changes only when a test changes it."""

    now: datetime = datetime(2026, 11, 5, 22, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the present time."""
        return self.now

    def advance(self, **duration: float) -> datetime:
        """Advance by the keyword arguments of timedelta; returns the new time."""
        self.now += timedelta(**duration)
        return self.now


@dataclass(kw_only=True)
class LedgerDriver:
    """Calls of the ledger with default arguments, and reads of its tables."""

    database: Database
    clock: SettableClock
    source_id: int
    process: WorkerProcess = field(default_factory=lambda: WorkerProcess(node="w1", boot_id="boot-1", index=0))

    def register(self, arrivals: Sequence[Arrival], *, priority: int = 5, source_id: int | None = None) -> Registered:
        """Register arrivals of the source, or of another one."""
        return ledger.register(
            self.database,
            source_id=source_id or self.source_id,
            arrivals=arrivals,
            priority=priority,
            now=self.clock(),
        )

    def register_trial_bundle(self, labels: Sequence[str] = ("a",)) -> int:
        """Register a bundle named `t` with these labels; return its id."""
        known = {"name": "t", "version": "1", "digest": "t" * 64, "labels": list(labels), "normal_label": None}
        return ledger.register_bundle(self.database, now=self.clock(), **known)  # type: ignore[arg-type]

    def pause_id(self) -> int:
        """Return the id of the only active pause."""
        (pause,) = queries.pauses(self.database)
        return pause.id

    def form(self, *, count: int = 100, images: int = 64, max_bytes: int = 2**40) -> list[Batch]:
        """Form batches without publishing them."""
        return ledger.form_batches(self.database, count=count, images=images, max_bytes=max_bytes, now=self.clock())

    def claim(self, batch: Batch, *, process: WorkerProcess | None = None) -> list[Claimed]:
        """Claim a batch for the default process or another one."""
        return ledger.claim(self.database, batch.id, process=process or self.process, lease=LEASE, now=self.clock())

    def record(self, batch: Batch, outcomes: Sequence[Outcome]) -> Counter[str]:
        """Record outcomes and close the batch."""
        return ledger.record(self.database, batch.id, outcomes, seconds={"read": 0.5}, release="test", now=self.clock())

    def analyse(self, batch: Batch, **fields: object) -> Counter[str]:
        """Claim and record a batch; all images get the same fields."""
        return self.record(batch, [build_outcome(image, **fields) for image in self.claim(batch)])

    def analyse_all(self, **fields: object) -> Counter[str]:
        """Form, claim and record all images that are ready."""
        return sum((self.analyse(batch, **fields) for batch in self.form()), Counter())

    def work(self) -> list[Any]:
        """Return all rows of work, oldest first."""
        with self.database.read() as connection:
            return list(connection.execute(select(work).order_by(work.c.id)))

    def instances(self) -> list[Any]:
        """Return all arrivals, oldest first."""
        with self.database.read() as connection:
            return list(connection.execute(select(instances).order_by(instances.c.id)))

    def states(self) -> list[str]:
        """Return the states of all rows of work, oldest first."""
        with self.database.read() as connection:
            return list(connection.execute(select(work.c.state).order_by(work.c.id)).scalars())

    def predicted(self) -> list[int]:
        """Return the ids of the rows of work that have predictions."""
        with self.database.read() as connection:
            return list(connection.execute(select(predictions.c.work_id).order_by(predictions.c.work_id)).scalars())

    def open_batches(self) -> list[str]:
        """Return the ids of batches that are not finished, claimed or not."""
        with self.database.read() as connection:
            return list(connection.execute(select(batches.c.id).where(batches.c.finished_at.is_(None))).scalars())


def build_arrivals(number: int, **fields: object) -> list[Arrival]:
    """Build arrivals that no other call returned; keywords set fields of all of them."""
    numbers = [next(_numbers) for _ in range(number)]
    return [Arrival(**{"uri": f"scan-{i}.dcm", "size": 1000, "mtime_ns": i, **fields}) for i in numbers]  # type: ignore[arg-type]


def build_outcome(claimed: Claimed, **fields: object) -> Outcome:
    """Build the outcome of one claimed image: `done` unless `state` has another value."""
    values: dict[str, object] = {
        "work_id": claimed.work_id,
        "instance_id": claimed.instance_id,
        "state": State.DONE,
        "size": claimed.size,
        "mtime_ns": claimed.mtime_ns,
    }
    if fields.get("state", State.DONE) is State.DONE:
        values |= {
            "content": f"{claimed.instance_id:064x}",
            "label": "normal",
            "score": 0.25,
            "scores": [0.75, 0.25],
            "frames": (FramePrediction(frame=0, label="normal", score=0.25, scores=[0.75, 0.25]),),
        }
    return Outcome(**values | fields)  # type: ignore[arg-type]
