"""Run random orders of arrivals, deliveries, crashes and sweeps, and check the invariants of the ledger."""

from collections import defaultdict
from typing import Any, ClassVar

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
from ledger_driver import LedgerDriver, SettableClock
from ledger_model import (
    ENDINGS,
    Delivery,
    ExpectedWork,
    allowed_states,
    assert_consistent,
    is_early,
    number_of,
    outcome_that,
    row_that_follows,
)
from rerun_rules import LATER, RerunRules
from sqlalchemy import delete, select

from db import ledger, queries
from db.engine import Database
from db.ledger import Arrival, Batch, WorkerProcess
from db.ledger.arrivals import uri_key
from db.tables import FINAL, UNFINISHED, State, contents, metadata

PROCESSES = [WorkerProcess(node="w1", boot_id="boot", index=index) for index in range(2)]


class LedgerMachine(RerunRules, RuleBasedStateMachine):
    """A producer, a dispatcher, a Redis that repeats and loses messages, and workers that die."""

    database: ClassVar[Database]

    @initialize()
    def start(self) -> None:
        """Start with an empty ledger and one bundle."""
        with self.database.writer.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        clock = SettableClock()
        source = ledger.ensure_source(self.database, name="inbox", kind="folder", root="/", now=clock())
        self.ledger_driver = LedgerDriver(database=self.database, clock=clock, source_id=source)
        bundle = {"name": "b", "version": "1", "digest": "d" * 64, "labels": ["x"], "normal_label": None}
        self.bundle_id = ledger.register_bundle(self.database, **bundle, now=clock())
        self.trial_id = self.ledger_driver.register_trial_bundle()
        self.folder: dict[str, Arrival] = {}
        self.seen: set[Arrival] = set()
        self.messages: list[Batch] = []
        self.claimed: dict[str, Delivery] = {}
        self.claimed_reruns: dict[str, Delivery] = {}
        self.final: dict[int, Any] = {}
        self.expected: dict[int, ExpectedWork] = {}
        self.purged: set[int] = set()
        for name in range(4):
            self.write_file(name, size=1)

    def kept(self, *states: State) -> list[Any]:
        """Return the rows of `rows` whose images were not purged."""
        return [row for row in self.rows(*states) if row.instance_id not in self.purged]

    def rows(self, *states: State) -> list[Any]:
        """Return the first rows of work, or those in these states, oldest first."""
        return [row for row in self.ledger_driver.work() if row.ordinal == 0 and (not states or row.state in states)]

    @rule(name=st.integers(0, 5), size=st.integers(1, 3))
    def write_file(self, name: int, size: int) -> None:
        """Create or change a file, and scan the folder."""
        arrival = Arrival(uri=f"{name}.dcm", size=size, mtime_ns=len(self.seen) + 1)
        self.folder[arrival.uri] = arrival
        self.seen.add(arrival)
        for work_id in row_that_follows(arrival.uri, self.rows(*UNFINISHED), self.ledger_driver.instances()):
            self.expected[work_id].change_file()
        registered = self.ledger_driver.register(list(self.folder.values()))
        assert registered.new + registered.changed == 1
        assert self.ledger_driver.register(list(self.folder.values())) == ledger.Registered(new=0, changed=0)
        for row in self.rows():
            self.expected.setdefault(row.id, ExpectedWork())

    @rule(images=st.integers(1, 4))
    def dispatch(self, images: int) -> None:
        """Form batches and publish them. No image comes before its time, and one marked `alone` has no company."""
        waiting = {row.id for row in self.rows(State.RECEIVED) if is_early(row, self.ledger_driver.clock())}
        self.messages += self.ledger_driver.form(count=2, images=images)
        queued = {row.id for row in self.rows(State.QUEUED)}
        assert not waiting & queued

    @rule()
    def fail_to_publish(self) -> None:
        """Form a batch while Redis is unavailable."""
        for batch in self.ledger_driver.form(count=1):
            ledger.return_unpublished(self.database, batch.id, now=self.ledger_driver.clock())

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), process=st.sampled_from(PROCESSES))
    def deliver(self, data: st.DataObject, process: WorkerProcess) -> None:
        """Deliver a message, for the first time or again. The worker gets what the ledger must remember."""
        batch = data.draw(st.sampled_from(self.messages[-4:]))
        images = self.ledger_driver.claim(batch, process=process)
        assert not (images and batch.id in {**self.claimed, **self.claimed_reruns}), "a batch was claimed twice"
        if images and images[0].rerun_bundle_id is not None:
            self.claim_rerun(batch, images, process)
            return
        if images:
            self.claimed[batch.id] = Delivery(images, process)
        for image in images:
            remembered = self.expected[image.work_id]
            remembered.claim(self.ledger_driver.clock())
            known = (image.attempts, image.alone, image.tried_since)
            assert known == (remembered.attempts, remembered.alone, remembered.tried_since)
            assert len(images) == 1 or not image.alone

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
        images = self.claimed[batch_id].images
        endings = {image.work_id: data.draw(st.sampled_from(ENDINGS)) for image in images}
        held = [row.id for row in self.rows(State.RUNNING) if row.batch_id == batch_id]
        later = self.ledger_driver.clock() + LATER
        outcomes = [outcome_that(endings[image.work_id], image, self.bundle_id, later) for image in images]
        self.ledger_driver.record(Batch(id=batch_id, images=len(outcomes)), outcomes)
        after = {row.id: row for row in self.rows()}
        for work_id in held:
            self.expected[work_id].end(endings[work_id])
            assert after[work_id].state in allowed_states(endings[work_id])

    @precondition(lambda self: self.rows(State.RUNNING))
    @rule(process=st.sampled_from(PROCESSES), data=st.data())
    def crash(self, process: WorkerProcess, data: st.DataObject) -> None:
        """Let a process die and its successor requeue its images; the in-flight table may name one of them."""
        held = [row for row in self.rows(State.RUNNING) if self.claimed[row.batch_id].process == process]
        in_flight = data.draw(st.sampled_from([None, *[row.id for row in self.rows()]]))
        expected = {
            row.id: self.expected[row.id].die(suspected=None if in_flight is None else row.id == in_flight)
            for row in held
        }
        again = [row for row in self.reruns(State.RUNNING) if self.claimed_reruns[row.batch_id].process == process]
        now = self.ledger_driver.clock()
        requeued = ledger.requeue_predecessor(self.database, process, work_in_flight=in_flight, now=now)
        assert requeued == len(held) + len(again)
        assert {row.id: row.state for row in self.rows() if row.id in expected} == expected

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def sweep(self, seconds: int) -> None:
        """Advance the time, and sweep."""
        now = self.ledger_driver.clock.advance(seconds=seconds)
        late = [row.id for row in self.rows(State.RUNNING) if row.lease_until < now]
        expected = {work_id: self.expected[work_id].expire() for work_id in late}
        late_reruns = [row.id for row in self.reruns(State.RUNNING) if row.lease_until < now]
        assert ledger.return_expired(self.database, now=now) == len(late) + len(late_reruns)
        assert {row.id: row.state for row in self.rows() if row.id in expected} == expected
        ledger.return_overtaken(self.database, now=now)

    @precondition(lambda self: self.rows(State.QUEUED))
    @rule()
    def lose_queue(self) -> None:
        """Return all unclaimed batches, as if the queue in Redis were empty."""
        ledger.return_batches(self.database, ledger.open_batches(self.database), now=self.ledger_driver.clock())

    @precondition(lambda self: self.rows(State.RUNNING))
    @rule()
    def restart(self) -> None:
        """Start with embedded Redis."""
        ledger.reset_unfinished(self.database, now=self.ledger_driver.clock())

    @precondition(lambda self: self.rows(State.FAILED, State.REJECTED))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """Retry images, some of which may be in a state that cannot be retried."""
        images = [row.instance_id for row in self.rows()]
        chosen = data.draw(st.lists(st.sampled_from(images), min_size=1, unique=True))
        ended = [row for row in self.kept(State.FAILED, State.REJECTED) if row.instance_id in chosen]
        assert ledger.retry(self.database, chosen, actor="ann", now=self.ledger_driver.clock()) == len(ended)
        for row in ended:
            self.expected[row.id].retry(row.reason)
            self.final.pop(row.id, None)

    @rule(number=st.integers(0, 2))
    def purge(self, number: int) -> None:
        """Purge all versions and copies of an image, whatever their states."""
        chosen = {row.id for row in self.ledger_driver.instances() if row.uri and number_of(row.uri) == number}
        unfinished = {row.id for row in self.kept(*UNFINISHED) if row.instance_id in chosen}
        further = {row.id for row in self.reruns(*UNFINISHED) if row.instance_id in chosen}
        before = {row.id: row.state for row in self.rows()}
        ids = queries.with_copies(self.database, chosen)
        purged = ledger.purge(self.database, ids, cause="image", actor="ann", now=self.ledger_driver.clock())
        assert (purged.images, purged.cancelled) == (len(chosen), len(unfinished | further))
        self.purged |= chosen
        for row in self.rows():
            assert row.state == (State.REJECTED if row.id in unfinished else before[row.id])
            if row.instance_id in chosen:
                self.final[row.id] = row

    @invariant()
    def rows_are_consistent(self) -> None:
        """Check the rows of work after every step."""
        work = self.rows()
        assert [row.instance_id for row in work] == [row.id for row in self.ledger_driver.instances()]
        for row in work:
            if row.instance_id not in self.purged:
                assert_consistent(row)
            assert self.final.get(row.id, row) == row, "a final row changed"
            remembered = self.expected[row.id]
            assert (row.deaths, row.expiries) == (remembered.deaths, remembered.expiries)
        self.final |= {row.id: row for row in work if row.state in FINAL}
        assert set(self.ledger_driver.predicted()) == {
            row.id for row in (*self.kept(State.DONE), *self.reruns(State.DONE))
        }
        further = [row for row in self.ledger_driver.work() if row.ordinal and row.instance_id not in self.purged]
        further = [row for row in further if row.bundle_id != self.trial_id]
        assert {(row.ordinal, row.label) for row in further} <= {(1, "nodule")}

    @invariant()
    def contents_have_one_owner(self) -> None:
        """A content has at most one done row, and each duplicate names it."""
        instances = {row.id: row.content for row in self.ledger_driver.instances()}
        done = {instances[row.instance_id]: row for row in self.kept(State.DONE)}
        assert len(done) == len(self.kept(State.DONE))
        for row in self.kept(State.DUPLICATE):
            assert done[instances[row.instance_id]].instance_id == row.duplicate_of
        with self.database.read() as connection:
            owners = {row.content: row.work_id for row in connection.execute(select(contents))}
        assert owners == {content: row.id for content, row in done.items()}

    @invariant()
    def the_newest_version_is_current(self) -> None:
        """Of the done images with the same SOP and Series Instance UID the newest is current, the others lead to it."""
        done = {row.instance_id for row in self.kept(State.DONE)}
        versions = defaultdict(dict)
        for row in self.ledger_driver.instances():
            if row.id in done:
                versions[row.sop_instance_uid, row.series_instance_uid][row.id] = row.superseded_by
            elif row.id not in self.purged:
                assert row.superseded_by is None
        for newer in versions.values():
            current = max(newer)
            assert newer.pop(current) is None
            assert all(old < newest and newest in {current, *newer} for old, newest in newer.items())

    def teardown(self) -> None:
        """Run the ledger to the end: every arrival has an outcome, and every batch is closed."""
        if not hasattr(self, "ledger_driver"):
            return
        while self.rows(*UNFINISHED) or self.reruns(*UNFINISHED):
            self.sweep(61)
            self.lose_queue()
            now = self.ledger_driver.clock()
            for batch in self.ledger_driver.form():
                images = self.ledger_driver.claim(batch)
                outcomes = [outcome_that("done", image, self.bundle_id, now) for image in images]
                if images and images[0].rerun_bundle_id is not None:
                    ledger.record_rerun(self.database, batch.id, outcomes, seconds={}, release="test", now=now)
                else:
                    self.ledger_driver.record(batch, outcomes)
        self.sweep(61)
        self.rows_are_consistent()
        self.contents_have_one_owner()
        assert self.ledger_driver.open_batches() == []
        final = {(row.uri_key, row.size, row.mtime_ns) for row in self.ledger_driver.instances()}
        assert final >= {(uri_key(each.uri), each.size, each.mtime_ns) for each in self.folder.values()}
        rules = {violation.rule for violation in queries.violations(self.database)}
        assert not {rule for rule in rules if "purged" in rule or "counts" in rule}


def check_machine(database: Database, *, examples: int) -> None:
    """Run so many histories of up to sixty steps; the first one that breaks an invariant is shortened."""
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
