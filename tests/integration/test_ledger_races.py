"""Rule 8: two writers at once neither lose nor double an image, and nobody is told that the database is locked."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, Event
from typing import Any

import pytest
from night import Night, build_arrivals, build_outcome
from servers import PostgresServer
from sqlalchemy import Connection, event, text

from db import ledger
from db.engine import Database, open_database
from db.ledger import Registered
from db.tables import State
from imaging.facts import Facts

TURN_SECONDS = 0.3
"""Enough for the second writer to run into the first one's locks; more changes nothing."""


@pytest.fixture
def other(night: Night) -> Iterator[Night]:
    """The same ledger, seen by another process."""
    database = open_database(night.database.writer.url.render_as_string(hide_password=False))
    yield replace(night, database=database, process=replace(night.process, index=1))
    database.close()


def test_two_workers_claim_each_batch_once(night: Night, other: Night) -> None:
    """Sixty batches delivered to both at the same moment are claimed once each, without an error."""
    night.register(build_arrivals(120))
    batches = night.form(images=2)
    start = Barrier(2)

    def deliver(worker: Night) -> list[int]:
        start.wait()
        return [image.work_id for batch in batches for image in worker.claim(batch)]

    first, second = _together(lambda: deliver(night), lambda: deliver(other))

    assert sorted(first + second) == sorted(row.id for row in night.work())
    assert {(row.state, row.attempts) for row in night.work()} == {(State.RUNNING, 1)}


def test_a_producer_and_workers_write_at_the_same_time(night: Night, other: Night) -> None:
    """Registering thousands while another process dispatches, claims and records ends with every image done."""
    arrivals = build_arrivals(2000)

    def produce() -> int:
        return sum(night.register(arrivals[i : i + 100]).new for i in range(0, 2000, 100))

    def analyse() -> int:
        done = 0
        while done < len(arrivals):
            done += other.analyse_all()["done"]
        return done

    assert _together(produce, analyse) == (2000, 2000)
    assert set(night.states()) == {State.DONE}


def test_two_scans_of_one_folder_register_each_file_once(night: Night, other: Night) -> None:
    """The same arrivals, registered by two at once in opposite order, get one row of work each."""
    arrivals = build_arrivals(50)

    with _held_before_commit(other) as hold:
        first, second = hold(lambda: other.register(arrivals), lambda: night.register(arrivals[::-1]))

    assert first == Registered(new=50, changed=0)
    assert second.changed == 0
    assert len(night.work()) == len(night.instances()) == 50


def test_copies_in_two_batches_are_done_once(night: Night, other: Night) -> None:
    """Two workers record the same bytes at the same moment: one is done, the other its duplicate."""
    night.register(build_arrivals(2))
    one, two = night.form(images=1)
    images = [*night.claim(one), *other.claim(two)]
    first, second = (build_outcome(image, sha256="c" * 64) for image in images)

    with _held_before_commit(other) as hold:
        hold(lambda: other.record(two, [second]), lambda: night.record(one, [first]))

    assert night.states() == [State.DUPLICATE, State.DONE]
    assert night.work()[0].duplicate_of == second.instance_id
    assert night.predicted() == [second.work_id]


def test_versions_in_two_batches_leave_one_current(night: Night, other: Night) -> None:
    """Two versions of one image recorded at the same moment: the newer arrival is current, alone."""
    night.register(build_arrivals(2))
    one, two = night.form(images=1)
    facts = Facts(sop_instance_uid="1.2.3", series_instance_uid="1.2")
    first, second = (build_outcome(image, facts=facts) for image in [*night.claim(one), *other.claim(two)])

    with _held_before_commit(other) as hold:
        hold(lambda: other.record(two, [second]), lambda: night.record(one, [first]))

    assert [row.superseded_by for row in night.instances()] == [second.instance_id, None]


def test_a_file_that_changes_while_its_outcome_is_committed_is_a_new_arrival(night: Night, other: Night) -> None:
    """The newer bytes are never hidden behind the outcome of the older ones."""
    (arrival,) = build_arrivals(1)
    night.register([arrival])
    (batch,) = night.form()
    outcomes = [build_outcome(image) for image in other.claim(batch)]

    with _held_before_commit(other) as hold:
        _, registered = hold(
            lambda: other.record(batch, outcomes), lambda: night.register([replace(arrival, size=2000)])
        )

    assert registered == Registered(new=1, changed=0)
    assert [(row.state, image.size) for row, image in zip(night.work(), night.instances(), strict=True)] == [
        (State.DONE, 1000),
        (State.RECEIVED, 2000),
    ]


def test_an_outcome_that_comes_while_its_file_is_changed_is_not_recorded(night: Night, other: Night) -> None:
    """The other way round: register came first, so the outcome of the older bytes finds its row taken back."""
    (arrival,) = build_arrivals(1)
    night.register([arrival])
    (batch,) = night.form()
    outcomes = [build_outcome(image) for image in night.claim(batch)]

    with _held_before_commit(other) as hold:
        _, counts = hold(lambda: other.register([replace(arrival, size=2000)]), lambda: night.record(batch, outcomes))

    assert counts == {}
    assert (night.states(), night.predicted()) == ([State.RECEIVED], [])


def test_two_dispatchers_do_not_share_an_image(night: Night, other: Night) -> None:
    """While a dispatcher hands over to its successor, no image is queued in two batches."""
    night.register(build_arrivals(6))

    with _held_before_commit(other) as hold:
        first, second = hold(lambda: other.form(count=1, images=4), lambda: night.form(images=4))

    formed = [*first, *second, *night.form()]
    claimed = [night.claim(batch) for batch in formed]
    assert [len(images) for images in claimed] == [batch.images for batch in formed]
    assert sorted(image.work_id for images in claimed for image in images) == [row.id for row in night.work()]


def test_a_sweep_does_not_take_what_is_being_recorded(night: Night, other: Night) -> None:
    """An outcome whose lease ran out is kept if its record came before the sweep."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    outcomes = [build_outcome(image) for image in other.claim(batch)]
    night.clock.advance(seconds=61)

    with _held_before_commit(other) as hold:
        _, expired = hold(
            lambda: other.record(batch, outcomes),
            lambda: ledger.return_expired(night.database, now=night.clock()),
        )

    assert expired == 0
    assert night.states() == [State.DONE]


def test_a_lost_batch_that_is_claimed_at_that_moment_stays_claimed(night: Night, other: Night) -> None:
    """Returning a batch that its worker claims just then takes nothing and leaves the batch open."""
    night.register(build_arrivals(3))
    (batch,) = night.form()

    with _held_before_commit(other) as hold:
        images, returned = hold(
            lambda: other.claim(batch),
            lambda: ledger.return_batches(night.database, [batch.id], now=night.clock()),
        )

    assert (len(images), returned) == (3, 0)
    assert night.open_batches() == [batch.id]


@pytest.mark.servers
def test_a_deadlock_is_tried_again(postgres_server: PostgresServer) -> None:
    """Rule 8: PostgreSQL ends one of two transactions with 40P01; `write` runs it again, and both are committed."""
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
        assert len(attempts) >= 3  # on a busy machine the loser may lose again


def test_readers_see_the_ledger_while_somebody_writes(night: Night) -> None:
    """A look, and a claim's page of results, never wait for a writer."""
    night.register(build_arrivals(1))
    with night.database.writer.begin() as connection:
        connection.execute(text("UPDATE work SET priority = 1"))
        assert ledger.look(night.database, images=5, now=night.clock()).ready == 1


def _together(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        return tuple(future.result(60) for future in futures)


@contextmanager
def _held_before_commit(writer: Night) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """`hold(first, second)`: `second` meets the open transaction of `first`, which `writer` is about to commit."""
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
