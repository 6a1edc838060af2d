"""Rule 8: concurrent writers lose no image, analyse none twice, and see no lock error."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, Event
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from servers import PostgresServer
from sqlalchemy import Connection, event, text

from db import ledger
from db.engine import Database, open_database
from db.ledger import Registered
from db.tables import State
from imaging.facts import Facts

TURN_SECONDS = 0.3
"""Long enough for the second writer to reach the locks of the first one."""


@pytest.fixture
def other(ledger_driver: LedgerDriver) -> Iterator[LedgerDriver]:
    """The same ledger, used by another process."""
    database = open_database(ledger_driver.database.writer.url.render_as_string(hide_password=False))
    yield replace(ledger_driver, database=database, process=replace(ledger_driver.process, index=1))
    database.close()


def test_two_workers_claim_each_batch_once(ledger_driver: LedgerDriver, other: LedgerDriver) -> None:
    """Sixty batches that are delivered to both at the same time are claimed once each, without an error."""
    ledger_driver.register(build_arrivals(120))
    batches = ledger_driver.form(images=2)
    start = Barrier(2)

    def deliver(worker: LedgerDriver) -> list[int]:
        start.wait()
        return [image.work_id for batch in batches for image in worker.claim(batch)]

    first, second = _together(lambda: deliver(ledger_driver), lambda: deliver(other))

    assert sorted(first + second) == sorted(row.id for row in ledger_driver.work())
    assert {(row.state, row.attempts) for row in ledger_driver.work()} == {(State.RUNNING, 1)}


def test_a_producer_and_workers_write_at_the_same_time(ledger_driver: LedgerDriver, other: LedgerDriver) -> None:
    """A process registers 2,000 files while another one analyses them, and every image is done."""
    arrivals = build_arrivals(2000)

    def produce() -> int:
        return sum(ledger_driver.register(arrivals[i : i + 100]).new for i in range(0, 2000, 100))

    def analyse() -> int:
        done = 0
        while done < len(arrivals):
            done += other.analyse_all()["done"]
        return done

    assert _together(produce, analyse) == (2000, 2000)
    assert set(ledger_driver.states()) == {State.DONE}


def test_two_scans_of_one_folder_register_each_file_once(ledger_driver: LedgerDriver, other: LedgerDriver) -> None:
    """Two calls register the same arrivals in opposite order; each arrival gets one row of work."""
    arrivals = build_arrivals(50)

    with _held_before_commit(other) as hold:
        first, second = hold(lambda: other.register(arrivals), lambda: ledger_driver.register(arrivals[::-1]))

    assert first == Registered(new=50, changed=0)
    assert second.changed == 0
    assert len(ledger_driver.work()) == len(ledger_driver.instances()) == 50


def test_copies_in_two_batches_are_done_once(ledger_driver: LedgerDriver, other: LedgerDriver) -> None:
    """Two workers record the same bytes at the same time: one image is done, the other its duplicate."""
    ledger_driver.register(build_arrivals(2))
    one, two = ledger_driver.form(images=1)
    images = [*ledger_driver.claim(one), *other.claim(two)]
    first, second = (build_outcome(image, content="c" * 64) for image in images)

    with _held_before_commit(other) as hold:
        hold(lambda: other.record(two, [second]), lambda: ledger_driver.record(one, [first]))

    assert ledger_driver.states() == [State.DUPLICATE, State.DONE]
    assert ledger_driver.work()[0].duplicate_of == second.instance_id
    assert ledger_driver.predicted() == [second.work_id]


def test_versions_in_two_batches_leave_one_current(ledger_driver: LedgerDriver, other: LedgerDriver) -> None:
    """Two versions of one image are recorded at the same time: only the newer arrival is current."""
    ledger_driver.register(build_arrivals(2))
    one, two = ledger_driver.form(images=1)
    facts = Facts(sop_instance_uid="1.2.3", series_instance_uid="1.2")
    first, second = (build_outcome(image, facts=facts) for image in [*ledger_driver.claim(one), *other.claim(two)])

    with _held_before_commit(other) as hold:
        hold(lambda: other.record(two, [second]), lambda: ledger_driver.record(one, [first]))

    assert [row.superseded_by for row in ledger_driver.instances()] == [second.instance_id, None]


def test_a_file_that_changes_while_its_outcome_is_committed_is_a_new_arrival(
    ledger_driver: LedgerDriver, other: LedgerDriver
) -> None:
    """The outcome of the older bytes does not hide the newer bytes."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    (batch,) = ledger_driver.form()
    outcomes = [build_outcome(image) for image in other.claim(batch)]

    with _held_before_commit(other) as hold:
        _, registered = hold(
            lambda: other.record(batch, outcomes), lambda: ledger_driver.register([replace(arrival, size=2000)])
        )

    assert registered == Registered(new=1, changed=0)
    assert [
        (row.state, image.size) for row, image in zip(ledger_driver.work(), ledger_driver.instances(), strict=True)
    ] == [
        (State.DONE, 1000),
        (State.RECEIVED, 2000),
    ]
    assert [row.replaced_by for row in ledger_driver.instances()] == [2, None]


def test_an_outcome_is_not_recorded_while_its_changed_file_is_registered(
    ledger_driver: LedgerDriver, other: LedgerDriver
) -> None:
    """`register` came first, so `record` no longer holds the row."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    (batch,) = ledger_driver.form()
    outcomes = [build_outcome(image) for image in ledger_driver.claim(batch)]

    with _held_before_commit(other) as hold:
        _, counts = hold(
            lambda: other.register([replace(arrival, size=2000)]), lambda: ledger_driver.record(batch, outcomes)
        )

    assert counts == {}
    assert (ledger_driver.states(), ledger_driver.predicted()) == ([State.RECEIVED], [])


def test_two_dispatchers_do_not_share_an_image(ledger_driver: LedgerDriver, other: LedgerDriver) -> None:
    """During the change from one dispatcher to the next, no image is queued in two batches."""
    ledger_driver.register(build_arrivals(6))

    with _held_before_commit(other) as hold:
        first, second = hold(lambda: other.form(count=1, images=4), lambda: ledger_driver.form(images=4))

    formed = [*first, *second, *ledger_driver.form()]
    claimed = [ledger_driver.claim(batch) for batch in formed]
    assert [len(images) for images in claimed] == [batch.images for batch in formed]
    assert sorted(image.work_id for images in claimed for image in images) == [row.id for row in ledger_driver.work()]


def test_a_sweep_does_not_take_back_an_image_during_its_record(
    ledger_driver: LedgerDriver, other: LedgerDriver
) -> None:
    """An outcome after the end of the lease is kept if the record came before the sweep."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    outcomes = [build_outcome(image) for image in other.claim(batch)]
    ledger_driver.clock.advance(seconds=61)

    with _held_before_commit(other) as hold:
        _, expired = hold(
            lambda: other.record(batch, outcomes),
            lambda: ledger.return_expired(ledger_driver.database, now=ledger_driver.clock()),
        )

    assert expired == 0
    assert ledger_driver.states() == [State.DONE]


def test_a_batch_that_is_claimed_during_its_return_stays_claimed(
    ledger_driver: LedgerDriver, other: LedgerDriver
) -> None:
    """Returning it takes no image back and leaves the batch open."""
    ledger_driver.register(build_arrivals(3))
    (batch,) = ledger_driver.form()

    with _held_before_commit(other) as hold:
        images, returned = hold(
            lambda: other.claim(batch),
            lambda: ledger.return_batches(ledger_driver.database, [batch.id], now=ledger_driver.clock()),
        )

    assert (len(images), returned) == (3, 0)
    assert ledger_driver.open_batches() == [batch.id]


@pytest.mark.servers
def test_a_deadlock_is_tried_again(postgres_server: PostgresServer) -> None:
    """PostgreSQL ends one of two transactions with 40P01; `write` repeats it, and both are committed."""
    with postgres_server.database() as database:
        with database.writer.begin() as connection:
            connection.execute(text("CREATE TABLE counters (id integer primary key, n integer)"))
            connection.execute(text("INSERT INTO counters VALUES (1, 0), (2, 0)"))
        meeting = Barrier(2)
        attempts: list[int] = []

        def add(first: int, second: int) -> Callable[[], None]:
            def transaction(connection: Connection) -> None:
                attempts.append(first)
                connection.execute(text("UPDATE counters SET n = n + 1 WHERE id = :id"), {"id": first})
                if attempts.count(first) == 1:
                    meeting.wait()
                connection.execute(text("UPDATE counters SET n = n + 1 WHERE id = :id"), {"id": second})

            return lambda: database.write(transaction)

        _together(add(1, 2), add(2, 1))

        with database.read() as connection:
            assert connection.execute(text("SELECT n FROM counters ORDER BY id")).scalars().all() == [2, 2]
        assert len(attempts) >= 3  # on a busy machine the same transaction may lose again


def test_readers_do_not_wait_for_a_writer(ledger_driver: LedgerDriver) -> None:
    """This holds for queries and for the queue status."""
    ledger_driver.register(build_arrivals(1))
    with ledger_driver.database.writer.begin() as connection:
        connection.execute(text("UPDATE work SET priority = 1"))
        assert ledger.queue_status(ledger_driver.database, images=5, now=ledger_driver.clock()).ready == 1


def _together(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        return tuple(future.result(60) for future in futures)


@contextmanager
def _held_before_commit(writer: LedgerDriver) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Yield `hold(first, second)`: it runs `second` while `first` is about to commit on `writer`."""
    reached, proceed = Event(), Event()

    def pause(_connection: Connection) -> None:
        reached.set()
        proceed.wait(60)

    def hold(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
        with ThreadPoolExecutor(2) as pool:
            holder: Future[Any] = pool.submit(first)
            assert reached.wait(60)
            challenger = pool.submit(second)
            wait([challenger], TURN_SECONDS)
            proceed.set()
            return holder.result(60), challenger.result(60)

    database: Database = writer.database
    event.listen(database.writer, "commit", pause)
    yield hold
    event.remove(database.writer, "commit", pause)
