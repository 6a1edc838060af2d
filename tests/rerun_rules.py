"""Order re-runs in the random state machine, record them, and check their rows and the batches of all rows."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from ledger_driver import LEASE, LedgerDriver
from ledger_model import Delivery, assert_consistent, outcome_that
from sqlalchemy import select

from db import ledger
from db.engine import Database
from db.ledger import Batch, Claimed, WorkerProcess
from db.tables import State, batches

LATER = timedelta(seconds=20)


class RerunRules:
    """What LedgerMachine does and checks with further rows of work of one other bundle."""

    database: Database
    ledger_driver: LedgerDriver
    trial_id: int
    purged: set[int]
    claimed: dict[str, Delivery]
    claimed_reruns: dict[str, Delivery]

    def rows(self, *states: State) -> list[Any]:
        """Return the first rows of work; the machine defines this."""
        raise NotImplementedError

    def reruns(self, *states: State) -> list[Any]:
        """Return the rows of re-runs of images that were not purged, or those in these states."""
        rows = [row for row in self.ledger_driver.work() if row.bundle_id == self.trial_id]
        return [row for row in rows if row.instance_id not in self.purged and (not states or row.state in states)]

    def claim_rerun(self, batch: Batch, images: Sequence[Claimed], process: WorkerProcess) -> None:
        """Note a claimed batch of a re-run, which has no first analyses."""
        assert {image.rerun_bundle_id for image in images} == {self.trial_id}
        self.claimed_reruns[batch.id] = Delivery(images, process)

    @rule()
    def plan_rerun(self) -> None:
        """Order a re-run of everything; at once again there is nothing to add."""
        images, now = [row.instance_id for row in self.rows()], self.ledger_driver.clock()
        order = {"shadow": False, "actor": "ann", "now": now}
        plan = ledger.plan_rerun(self.database, images, [self.trial_id], **order)
        again = ledger.plan_rerun(self.database, images, [self.trial_id], **order)
        assert (again.added, again.again, again.waiting) == (0, 0, plan.unfinished)

    @precondition(lambda self: self.reruns(State.RUNNING))
    @rule(data=st.data())
    def record_rerun(self, data: st.DataObject) -> None:
        """Record a batch of a re-run, in time or much too late: what is no longer held stays as it is."""
        batch_id = data.draw(st.sampled_from(list(self.claimed_reruns)[-4:]))
        endings = st.sampled_from(["done", "rejected", "failed", "again", "unstorable"])
        held = {row.id for row in self.reruns(State.RUNNING) if row.batch_id == batch_id}
        later = self.ledger_driver.clock() + LATER
        outcomes = [
            outcome_that(data.draw(endings), image, self.trial_id, later)
            for image in self.claimed_reruns[batch_id].images
        ]
        now = self.ledger_driver.clock()
        counts = ledger.record_rerun(self.database, batch_id, outcomes, seconds={}, release="test", now=now)
        assert counts.total() == len(held)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Renew a lease after progress, of a first analysis or of a re-run."""
        batch_id = data.draw(st.sampled_from([*self.claimed, *self.claimed_reruns][-4:]))
        ledger.renew(self.database, batch_id, lease=LEASE, now=self.ledger_driver.clock())

    @invariant()
    def reruns_are_consistent(self) -> None:
        """An image has at most one row of the re-run, and this row has the columns of its state."""
        rows = self.reruns()
        for row in rows:
            assert_consistent(row)
            assert row.ordinal > 0
        assert len({row.instance_id for row in rows}) == len(rows)

    @invariant()
    def batches_hold_unfinished_images(self) -> None:
        """Queued and running rows are in open batches, running ones in claimed batches."""
        with self.database.read() as connection:
            open_batches = select(batches.c.id, batches.c.claimed_at).where(batches.c.finished_at.is_(None))
            claimed = {row.id: row.claimed_at is not None for row in connection.execute(open_batches)}
        for row in (*self.rows(State.QUEUED, State.RUNNING), *self.reruns(State.QUEUED, State.RUNNING)):
            assert claimed[row.batch_id] == (row.state == State.RUNNING)
