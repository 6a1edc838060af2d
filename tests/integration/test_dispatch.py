"""The dispatcher between a real ledger and a real Redis."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Desk, opened
from night import LEASE, Night
from sqlalchemy import text

from db import ledger
from db.engine import Database
from db.ledger import Arrival
from nightread.contract import BATCH_QUEUE
from nightread.errors import StopWork
from nightread.wake import wake_dispatcher
from producer.singleton import only_dispatcher

_END_LOCK_HOLDERS = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def desk(night: Night, redis_url: str) -> Iterator[Desk]:
    """A dispatcher, an empty ledger, an empty Redis and no worker."""
    with opened(night, redis_url) as desk:
        yield desk


def test_a_message_names_its_batch_and_nothing_else(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """One id is the task's, the batch's and the body's; the size is shown for Flower."""
    desk.worker(slots=1)
    desk.night.register(make_arrivals(1, uri="SECRET.dcm"))
    desk.dispatcher.tick()
    (message,) = desk.messages()
    (batch_id,) = desk.night.open_batches()
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([], {"v": 1, "batch": batch_id})
    assert message["headers"]["id"] == batch_id
    assert message["headers"]["kwargsrepr"] == repr({"images": 1})
    assert "SECRET" not in json.dumps(message)


def test_the_queue_stays_short_whatever_arrives(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """Two batches a process, at least two in all; the rest waits in the ledger."""
    desk.night.register(make_arrivals(100))
    desk.dispatch_all()
    assert len(desk.messages()) == 2
    desk.worker(slots=3)
    desk.dispatch_all()
    assert len(desk.messages()) == 6
    assert desk.night.states().count("queued") == 24


def test_urgent_images_overtake(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """Priority goes before age, in each new batch."""
    desk.night.register(make_arrivals(20), priority=5)
    desk.dispatch_all()
    desk.night.register(make_arrivals(4), priority=0)
    desk.worker(slots=2)
    desk.dispatch_all()
    third = desk.batches()[2]
    assert {row.priority for row in desk.night.work() if row.batch_id == third} == {0}


def test_work_that_must_travel_alone_does(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """What may have killed a process shares its batch with nobody."""
    desk.night.register(make_arrivals(4))
    desk.dispatch_all()
    (batch,) = desk.batches()
    ledger.claim(desk.night.database, batch, process=desk.night.process, lease=LEASE, now=desk.night.clock())
    ledger.give_back_predecessor(desk.night.database, desk.night.process, now=desk.night.clock())
    desk.worker(slots=8)
    desk.dispatch_all()
    sizes = [row.batch_id for row in desk.night.work()]
    assert len(set(sizes)) == 4


def test_a_partial_batch_goes_at_once_to_an_idle_process(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """And is shared among all that are idle."""
    desk.worker(slots=2)
    desk.night.register(make_arrivals(3))
    assert desk.dispatcher.tick() == 0
    assert len(desk.messages()) == 2


def test_a_partial_batch_waits_while_all_are_busy(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """For as long as batch_wait_seconds, in case more arrive; then it goes as it is."""
    desk.worker(slots=1)
    desk.night.register(make_arrivals(4))
    desk.dispatch_all()
    (busy,) = desk.batches()
    ledger.claim(desk.night.database, busy, process=desk.night.process, lease=LEASE, now=desk.night.clock())
    desk.night.register(make_arrivals(3))
    wait = desk.dispatcher.tick()
    assert 0 < wait <= 0.2
    assert desk.batches() == [busy]
    desk.transport.wait_for_wake(wait)
    desk.dispatcher.tick()
    assert len(desk.batches()) == 2


def test_a_full_batch_does_not_wait(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """There is nothing to wait for."""
    desk.worker(slots=1)
    desk.night.register(make_arrivals(8))
    desk.dispatch_all()
    assert len(desk.batches()) == 2


def test_what_redis_forgot_is_found_by_two_looks(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """One empty look may be a message on its way; two are a loss, and the images are published again."""
    desk.worker(slots=1)
    desk.night.register(make_arrivals(3))
    desk.dispatch_all()
    (first,) = desk.batches()
    desk.redis.flushdb()
    desk.sweep()
    assert (desk.night.open_batches(), desk.batches()) == ([first], [])
    desk.sweep()
    desk.dispatch_all()
    (second,) = desk.batches()
    assert (second != first, desk.night.open_batches()) == (True, [second])


def test_a_message_in_delivery_is_not_lost(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """A worker has it and may be about to claim it."""
    desk.worker(slots=1)
    desk.night.register(make_arrivals(3))
    desk.dispatch_all()
    desk.deliver_to_nobody()
    for _ in range(3):
        desk.sweep()
    assert set(desk.night.states()) == {"queued"}


def test_messages_of_another_application_do_no_harm(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """Its deliveries lie in the same hash of the same Redis, and may look like anything."""
    for tag, foreign in enumerate(("no json", "[]", '[{"body": ""}]', '{"a": 1}')):
        desk.redis.hset("unacked", f"other-{tag}", foreign)
    desk.worker(slots=1)
    desk.night.register(make_arrivals(1))
    desk.dispatch_all()
    desk.redis.delete(BATCH_QUEUE)
    for _ in range(2):
        desk.sweep()
    assert len(desk.batches()) == 1


def test_what_a_dead_worker_never_acknowledged_hides_no_other_loss(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """Each batch is looked for by itself: Redis came back with an old delivery, and has lost a new message."""
    desk.worker(slots=2)
    desk.night.register(make_arrivals(1))
    desk.dispatch_all()
    (delivered,) = desk.batches()
    desk.deliver_to_nobody()
    desk.night.register(make_arrivals(1))
    desk.dispatch_all()
    (lost,) = desk.batches()
    desk.redis.delete(BATCH_QUEUE)
    for _ in range(2):
        desk.sweep()
    assert delivered in desk.night.open_batches()
    assert lost not in desk.night.open_batches()


def test_a_nudge_ends_the_wait(desk: Desk) -> None:
    """Nobody waits for the next poll when something was registered."""
    desk.transport.wait_for_wake(0.01)  # it listens from now on
    nudge = threading.Timer(0.1, wake_dispatcher, [desk.redis])
    nudge.start()
    asked = time.monotonic()
    desk.transport.wait_for_wake(20)
    assert time.monotonic() - asked < 10
    nudge.join()


def test_there_is_one_dispatcher(database: Database, tmp_path: Path) -> None:
    """The second is told so; it may start once the first has ended."""
    with only_dispatcher(database, tmp_path) as check:
        check()
        with pytest.raises(StopWork, match="Another dispatcher"), only_dispatcher(database, tmp_path):
            pass
    with only_dispatcher(database, tmp_path) as check:
        check()


@pytest.mark.servers
def test_a_dispatcher_that_lost_its_lock_stops(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """PostgreSQL frees the lock with the connection: another may hold it by now."""
    with request.getfixturevalue("postgres_server").database() as database:
        with only_dispatcher(database, tmp_path) as check:
            check()
            with database.read() as connection:
                connection.execute(text(_END_LOCK_HOLDERS))
            with pytest.raises(StopWork, match="starting over"):
                check()
        with only_dispatcher(database, tmp_path) as check:
            check()


def test_what_a_dead_worker_was_handed_is_overdue_after_a_minute(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """Its message counts as delivered for a quarter of an hour; an idle process need not wait for that."""
    desk.worker(slots=1)
    desk.night.register(make_arrivals(3))
    desk.dispatch_all()
    (first,) = desk.batches()
    desk.deliver_to_nobody()
    desk.night.clock.advance(seconds=61)
    desk.sweep()
    assert desk.night.open_batches() == [first], "nobody is idle: the worker has not beaten for a minute"

    desk.worker(slots=1)
    desk.sweep()
    desk.dispatch_all()

    (second,) = desk.batches()
    assert second != first
    assert desk.night.open_batches() == [second]


def test_what_a_starting_process_was_handed_is_not_lost(desk: Desk, make_arrivals: MakeArrivals) -> None:
    """One process is ready and idle, the other still loads its model: it claims its batch when it is ready."""
    desk.worker(slots=2, starting=1)
    desk.night.register(make_arrivals(1))
    desk.dispatch_all()
    (batch,) = desk.batches()
    desk.deliver_to_nobody()
    desk.night.clock.advance(seconds=25)
    desk.sweep()
    assert desk.night.open_batches() == [batch]

    desk.worker(slots=2)
    desk.sweep()
    assert batch not in desk.night.open_batches()
