"""One evening, driven by hand: the ledger's verbs with a clock, one source and one worker."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select

from db import ledger
from db.engine import Database
from db.ledger import Arrival, Batch, Claimed, FramePrediction, Outcome, Registered, WorkerProcess
from db.tables import State, batches, instances, predictions, work

LEASE = timedelta(seconds=60)
_numbers = count()


@dataclass
class SettableClock:
    """A Clock that stands still until a test moves it."""

    now: datetime = datetime(2026, 11, 5, 22, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The present."""
        return self.now

    def advance(self, **duration: float) -> datetime:
        """Move on by a timedelta's keyword arguments; returns the new present."""
        self.now += timedelta(**duration)
        return self.now


@dataclass(kw_only=True)
class LedgerDriver:
    """Steps of the protocol under default arguments, and looks at what the ledger says then."""

    database: Database
    clock: SettableClock
    source_id: int
    process: WorkerProcess = field(default_factory=lambda: WorkerProcess(node="w1", boot_id="boot-1", index=0))

    def register(self, arrivals: Sequence[Arrival], *, priority: int = 5) -> Registered:
        """Register arrivals of the one source."""
        return ledger.register(
            self.database, source_id=self.source_id, arrivals=arrivals, priority=priority, now=self.clock()
        )

    def form(self, *, count: int = 100, images: int = 64, max_bytes: int = 2**40) -> list[Batch]:
        """Dispatch without publishing."""
        return ledger.form_batches(self.database, count=count, images=images, max_bytes=max_bytes, now=self.clock())

    def claim(self, batch: Batch, *, process: WorkerProcess | None = None) -> list[Claimed]:
        """Claim for the one worker process, or for another."""
        return ledger.claim(self.database, batch.id, process=process or self.process, lease=LEASE, now=self.clock())

    def record(self, batch: Batch, outcomes: Sequence[Outcome]) -> Counter[str]:
        """Record and close."""
        return ledger.record(self.database, batch.id, outcomes, seconds={"read": 0.5}, release="test", now=self.clock())

    def analyse(self, batch: Batch, **fields: object) -> Counter[str]:
        """Claim and record a batch, each image with the same fields."""
        return self.record(batch, [build_outcome(image, **fields) for image in self.claim(batch)])

    def analyse_all(self, **fields: object) -> Counter[str]:
        """Dispatch and analyse whatever is ready."""
        return sum((self.analyse(batch, **fields) for batch in self.form()), Counter())

    def work(self) -> list[Any]:
        """All rows of work, oldest first."""
        with self.database.read() as connection:
            return list(connection.execute(select(work).order_by(work.c.id)))

    def instances(self) -> list[Any]:
        """All arrivals, oldest first."""
        with self.database.read() as connection:
            return list(connection.execute(select(instances).order_by(instances.c.id)))

    def states(self) -> list[str]:
        """States of all rows of work, oldest first."""
        with self.database.read() as connection:
            return list(connection.execute(select(work.c.state).order_by(work.c.id)).scalars())

    def predicted(self) -> list[int]:
        """Ids of the rows of work that have predictions."""
        with self.database.read() as connection:
            return list(connection.execute(select(predictions.c.work_id).order_by(predictions.c.work_id)).scalars())

    def open_batches(self) -> list[str]:
        """Batches not finished, claimed or not."""
        with self.database.read() as connection:
            return list(connection.execute(select(batches.c.id).where(batches.c.finished_at.is_(None))).scalars())


def build_arrivals(number: int, **fields: object) -> list[Arrival]:
    """So many files that no other call returned; keywords set fields of all."""
    numbers = [next(_numbers) for _ in range(number)]
    return [Arrival(**{"uri": f"scan-{i}.dcm", "size": 1000, "mtime_ns": i, **fields}) for i in numbers]  # type: ignore[arg-type]


def build_outcome(claimed: Claimed, **fields: object) -> Outcome:
    """The outcome of one claimed image: `done` unless `state` says otherwise."""
    values: dict[str, object] = {
        "work_id": claimed.work_id,
        "instance_id": claimed.instance_id,
        "first": claimed.first,
        "state": State.DONE,
        "size": claimed.size,
        "mtime_ns": claimed.mtime_ns,
    }
    if fields.get("state", State.DONE) is State.DONE:
        values |= {
            "sha256": f"{claimed.instance_id:064x}",
            "label": "normal",
            "score": 0.25,
            "scores": [0.75, 0.25],
            "frames": (FramePrediction(frame=0, label="normal", score=0.25, scores=[0.75, 0.25]),),
        }
    return Outcome(**values | fields)  # type: ignore[arg-type]
