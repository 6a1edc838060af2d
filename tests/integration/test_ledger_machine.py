"""Random orders of arrivals, deliveries, crashes and sweeps keep the invariants of the ledger."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from databases import NewSqlite
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_driver import LEASE, LedgerDriver, SettableClock, build_outcome
from servers import PostgresServer
from sqlalchemy import delete, select

from db import ledger
from db.engine import Database
from db.ledger import Arrival, Batch, Claimed, Outcome, WorkerProcess
from db.tables import FINAL, UNFINISHED, State, batches, contents, metadata
from imaging.facts import Facts
from nightread.reasons import Reason

PROCESSES = [WorkerProcess(node="w1", boot_id="boot", index=index) for index in range(2)]
OUTCOME_STATES = st.sampled_from([State.DONE, State.DONE, State.DONE, State.REJECTED, State.FAILED, State.RECEIVED])


class LedgerMachine(RuleBasedStateMachine):
    """A producer, a dispatcher, a Redis that repeats and loses messages, and workers that die."""

    database: ClassVar[Database]

    @initialize()
    def start(self) -> None:
        """Start with an empty ledger."""
        with self.database.writer.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        clock = SettableClock()
        source = ledger.ensure_source(self.database, name="inbox", kind="folder", root="/", now=clock())
        self.ledger_driver = LedgerDriver(database=self.database, clock=clock, source_id=source)
        self.folder: dict[str, Arrival] = {}
        self.seen: set[Arrival] = set()
        self.messages: list[Batch] = []
        self.claimed: dict[str, list[Claimed]] = {}
        self.final: dict[int, Any] = {}
        for name in range(4):
            self.write_file(name, size=1)

    @rule(name=st.integers(0, 5), size=st.integers(1, 3))
    def write_file(self, name: int, size: int) -> None:
        """Create or change a file, and scan the folder."""
        arrival = Arrival(uri=f"{name}.dcm", size=size, mtime_ns=len(self.seen) + 1)
        self.folder[arrival.uri] = arrival
        self.seen.add(arrival)
        registered = self.ledger_driver.register(list(self.folder.values()))
        assert registered.new + registered.changed == 1
        assert self.ledger_driver.register(list(self.folder.values())) == ledger.Registered(new=0, changed=0)

    @rule(images=st.integers(1, 4))
    def dispatch(self, images: int) -> None:
        """Form batches and publish them."""
        self.messages += self.ledger_driver.form(count=2, images=images)

    @rule()
    def fail_to_publish(self) -> None:
        """Form a batch while Redis is unavailable."""
        for batch in self.ledger_driver.form(count=1):
            ledger.return_unpublished(self.database, batch.id, now=self.ledger_driver.clock())

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), process=st.sampled_from(PROCESSES))
    def deliver(self, data: st.DataObject, process: WorkerProcess) -> None:
        """Deliver a message, for the first time or again."""
        batch = data.draw(st.sampled_from(self.messages[-4:]))
        images = self.ledger_driver.claim(batch, process=process)
        assert not (images and batch.id in self.claimed), "a batch was claimed twice"
        if images:
            self.claimed[batch.id] = images

    @rule(data=st.data(), images=st.integers(1, 4))
    def work_undisturbed(self, data: st.DataObject, images: int) -> None:
        """Form, deliver and record one batch; its message may be delivered again."""
        self.messages += self.ledger_driver.form(count=1, images=images)
        for batch in self.messages[-1:]:
            self.deliver(data, PROCESSES[0])
            if batch.id in self.claimed:
                self.record(data)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        """Record the outcomes of a batch, in time or much too late."""
        batch_id = data.draw(st.sampled_from(list(self.claimed)[-4:]))
        outcomes = [_outcome(image, data.draw(OUTCOME_STATES)) for image in self.claimed[batch_id]]
        self.ledger_driver.record(Batch(id=batch_id, images=len(outcomes)), outcomes)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Renew a lease after progress."""
        batch_id = data.draw(st.sampled_from(list(self.claimed)[-4:]))
        ledger.renew(self.database, batch_id, lease=LEASE, now=self.ledger_driver.clock())

    @precondition(lambda self: State.RUNNING in self.ledger_driver.states())
    @rule(process=st.sampled_from(PROCESSES))
    def crash(self, process: WorkerProcess) -> None:
        """Let a process die and its successor requeue its images."""
        ledger.requeue_predecessor(self.database, process, now=self.ledger_driver.clock())

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def sweep(self, seconds: int) -> None:
        """Advance the time, and sweep."""
        now = self.ledger_driver.clock.advance(seconds=seconds)
        ledger.return_expired(self.database, now=now)
        ledger.return_overtaken(self.database, now=now)

    @precondition(lambda self: State.QUEUED in self.ledger_driver.states())
    @rule()
    def lose_queue(self) -> None:
        """Return all unclaimed batches, as if the queue in Redis were empty."""
        ledger.return_batches(self.database, ledger.open_batches(self.database), now=self.ledger_driver.clock())

    @precondition(lambda self: State.RUNNING in self.ledger_driver.states())
    @rule()
    def restart(self) -> None:
        """Start with embedded Redis."""
        ledger.reset_unfinished(self.database, now=self.ledger_driver.clock())

    @precondition(lambda self: {State.FAILED, State.REJECTED} & set(self.ledger_driver.states()))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """Retry images, some of which may be in a state that cannot be retried."""
        images = [row.instance_id for row in self.ledger_driver.work()]
        chosen = data.draw(st.lists(st.sampled_from(images), min_size=1, unique=True))
        ended = {
            row.id
            for row in self.ledger_driver.work()
            if row.state in ("failed", "rejected") and row.instance_id in chosen
        }
        assert ledger.retry(self.database, chosen, actor="ann", now=self.ledger_driver.clock()) == len(ended)
        for work_id in ended:
            self.final.pop(work_id, None)

    @invariant()
    def rows_are_consistent(self) -> None:
        """Check the rows of work after every step."""
        work = self.ledger_driver.work()
        assert [row.instance_id for row in work] == [row.id for row in self.ledger_driver.instances()]
        assert {row.ordinal for row in work} <= {0}
        for row in work:
            _assert_consistent(row)
            assert self.final.get(row.id, row) == row, "a final row changed"
        self.final |= {row.id: row for row in work if row.state in FINAL}
        assert set(self.ledger_driver.predicted()) == {row.id for row in work if row.state == State.DONE}

    @invariant()
    def contents_have_one_owner(self) -> None:
        """A content has at most one done row, and each duplicate names it."""
        instances = {row.id: row.sha256 for row in self.ledger_driver.instances()}
        done = {instances[row.instance_id]: row for row in self.ledger_driver.work() if row.state == State.DONE}
        assert len(done) == self.ledger_driver.states().count(State.DONE)
        for row in self.ledger_driver.work():
            if row.state == State.DUPLICATE:
                assert done[instances[row.instance_id]].instance_id == row.duplicate_of
        with self.database.read() as connection:
            owners = {row.sha256: row.work_id for row in connection.execute(select(contents))}
        assert owners == {sha256: row.id for sha256, row in done.items()}

    @invariant()
    def batches_hold_unfinished_images(self) -> None:
        """Queued and running rows are in open batches, running ones in claimed batches."""
        with self.database.read() as connection:
            open_batches = select(batches.c.id, batches.c.claimed_at).where(batches.c.finished_at.is_(None))
            claimed = {row.id: row.claimed_at is not None for row in connection.execute(open_batches)}
        for row in self.ledger_driver.work():
            if row.state in (State.QUEUED, State.RUNNING):
                assert claimed[row.batch_id] == (row.state == State.RUNNING)

    def teardown(self) -> None:
        """Run the ledger to the end: every arrival has an outcome, and every batch is closed."""
        if not hasattr(self, "ledger_driver"):
            return
        while any(state in UNFINISHED for state in self.ledger_driver.states()):
            self.sweep(61)
            self.lose_queue()
            for batch in self.ledger_driver.form():
                images = self.ledger_driver.claim(batch)
                self.ledger_driver.record(batch, [_outcome(image, State.DONE) for image in images])
        self.sweep(61)
        self.rows_are_consistent()
        self.contents_have_one_owner()
        assert self.ledger_driver.open_batches() == []
        final = {(row.uri, row.size, row.mtime_ns) for row in self.ledger_driver.instances()}
        assert final >= {(arrival.uri, arrival.size, arrival.mtime_ns) for arrival in self.folder.values()}


@pytest.mark.timeout(400)  # hypothesis takes minutes to shrink a failure
@pytest.mark.parametrize("histories", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_the_invariants_hold_on_sqlite(new_sqlite: NewSqlite, tmp_path: Path, histories: int) -> None:
    """Each history has up to sixty steps."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        check_machine(database, examples=histories)


@pytest.mark.servers
@pytest.mark.timeout(400)
def test_the_invariants_hold_on_postgresql(postgres_server: PostgresServer) -> None:
    """The same check with fewer histories."""
    with postgres_server.database() as database:
        check_machine(database, examples=10)


def check_machine(database: Database, *, examples: int) -> None:
    machine = type("Machine", (LedgerMachine,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=60,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def _outcome(image: Claimed, state: State) -> Outcome:
    """Make contents equal for files with the same size and number modulo 3; each name is one image."""
    number = int(image.uri.removesuffix(".dcm"))
    content = f"{number % 3}{image.size}" * 32
    facts = Facts(sop_instance_uid=f"1.{number}", series_instance_uid="1")
    reason = None if state is State.DONE else Reason.IO_ERROR
    sha256 = None if state is State.RECEIVED else content
    return build_outcome(image, state=state, sha256=sha256, facts=facts, reason=reason)


def _assert_consistent(row: Any) -> None:
    """Check which columns a row has in its state."""
    assert (row.finished_at is not None) == (row.state in FINAL)
    assert (row.lease_until is not None) == (row.state == State.RUNNING)
    assert (row.batch_id is None) == (row.state == State.RECEIVED)
    assert (row.duplicate_of is not None) == (row.state == State.DUPLICATE)
    assert (row.score is not None) == (row.state == State.DONE)
