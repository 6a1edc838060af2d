"""The dispatcher between a real database and a real Redis."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dispatcher_driver import DispatcherDriver, open_dispatcher
from ledger_driver import LEASE, LedgerDriver
from sqlalchemy import text

from db import ledger
from db.engine import Database
from db.ledger import Arrival
from nightread.errors import StopWork
from nightread.notify import notify_dispatcher
from producer.dispatcher.singleton import only_dispatcher

_END_LOCK_HOLDERS = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def dispatcher_driver(ledger_driver: LedgerDriver, redis_url: str) -> Iterator[DispatcherDriver]:
    """A dispatcher with an empty database, an empty Redis and no worker."""
    with open_dispatcher(ledger_driver, redis_url) as dispatcher_driver:
        yield dispatcher_driver


def test_a_message_names_its_batch_and_nothing_else(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """Task id, batch id and the id in the body are the same; the size is shown for Flower."""
    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(1, uri="SECRET.dcm"))
    dispatcher_driver.dispatcher.tick()
    (message,) = dispatcher_driver.messages()
    (batch_id,) = dispatcher_driver.ledger_driver.open_batches()
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([], {"v": 1, "batch": batch_id})
    assert message["headers"]["id"] == batch_id
    assert message["headers"]["kwargsrepr"] == repr({"images": 1})
    assert "SECRET" not in json.dumps(message)


def test_the_queue_stays_short(dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals) -> None:
    """It has two batches per process and at least two in all; other images wait in the database."""
    dispatcher_driver.ledger_driver.register(make_arrivals(100))
    dispatcher_driver.dispatch_all()
    assert len(dispatcher_driver.messages()) == 2
    dispatcher_driver.heartbeat(slots=3)
    dispatcher_driver.dispatch_all()
    assert len(dispatcher_driver.messages()) == 6
    assert dispatcher_driver.ledger_driver.states().count("queued") == 24


def test_urgent_images_overtake(dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals) -> None:
    """Their batch is the next that a worker takes, and has no other images."""
    dispatcher_driver.ledger_driver.register(make_arrivals(20), priority=5)
    dispatcher_driver.dispatch_all()
    dispatcher_driver.ledger_driver.register(make_arrivals(4), priority=0)
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.dispatch_all()
    first = dispatcher_driver.batches()[0]
    assert {row.priority for row in dispatcher_driver.ledger_driver.work() if row.batch_id == first} == {0}


def test_suspects_are_sent_in_batches_of_their_own(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """An image that may have killed a process gets a batch of one."""
    dispatcher_driver.ledger_driver.register(make_arrivals(4))
    dispatcher_driver.dispatch_all()
    (batch,) = dispatcher_driver.batches()
    ledger.claim(
        dispatcher_driver.ledger_driver.database,
        batch,
        process=dispatcher_driver.ledger_driver.process,
        lease=LEASE,
        now=dispatcher_driver.ledger_driver.clock(),
    )
    ledger.requeue_predecessor(
        dispatcher_driver.ledger_driver.database,
        dispatcher_driver.ledger_driver.process,
        now=dispatcher_driver.ledger_driver.clock(),
    )
    dispatcher_driver.heartbeat(slots=8)
    dispatcher_driver.dispatch_all()
    sizes = [row.batch_id for row in dispatcher_driver.ledger_driver.work()]
    assert len(set(sizes)) == 4


def test_a_partial_batch_goes_at_once_to_an_idle_process(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """It is divided among all idle processes."""
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.ledger_driver.register(make_arrivals(3))
    assert dispatcher_driver.dispatcher.tick() == 0
    assert len(dispatcher_driver.messages()) == 2


def test_a_partial_batch_waits_while_all_are_busy(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """It waits up to `batch_wait_seconds` for more images, and is then sent as it is."""
    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(4))
    dispatcher_driver.dispatch_all()
    (busy,) = dispatcher_driver.batches()
    ledger.claim(
        dispatcher_driver.ledger_driver.database,
        busy,
        process=dispatcher_driver.ledger_driver.process,
        lease=LEASE,
        now=dispatcher_driver.ledger_driver.clock(),
    )
    dispatcher_driver.ledger_driver.register(make_arrivals(3))
    wait = dispatcher_driver.dispatcher.tick()
    assert 0 < wait <= 0.2
    assert dispatcher_driver.batches() == [busy]
    dispatcher_driver.transport.wait_for_notification(wait)
    dispatcher_driver.dispatcher.tick()
    assert len(dispatcher_driver.batches()) == 2


def test_a_full_batch_does_not_wait(dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals) -> None:
    """It is sent at once."""
    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(8))
    dispatcher_driver.dispatch_all()
    assert len(dispatcher_driver.batches()) == 2


def test_a_message_missing_in_two_sweeps_is_lost(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """In one sweep the message may be on its way; after the second the images are published again."""
    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(3))
    dispatcher_driver.dispatch_all()
    (first,) = dispatcher_driver.batches()
    dispatcher_driver.redis.flushdb()
    dispatcher_driver.sweep()
    assert (dispatcher_driver.ledger_driver.open_batches(), dispatcher_driver.batches()) == ([first], [])
    dispatcher_driver.sweep()
    dispatcher_driver.dispatch_all()
    (second,) = dispatcher_driver.batches()
    assert (second != first, dispatcher_driver.ledger_driver.open_batches()) == (True, [second])


def test_a_message_in_delivery_is_not_lost(dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals) -> None:
    """A worker has it and may claim it soon."""
    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(3))
    dispatcher_driver.dispatch_all()
    dispatcher_driver.leave_unacknowledged()
    for _ in range(3):
        dispatcher_driver.sweep()
    assert set(dispatcher_driver.ledger_driver.states()) == {"queued"}


def test_messages_of_another_application_do_no_harm(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """Its unacknowledged messages are in the same hash of the same Redis, in any format."""
    for tag, foreign in enumerate(("no json", "[]", '[{"body": ""}]', '{"a": 1}')):
        dispatcher_driver.redis.hset("unacked", f"other-{tag}", foreign)
    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(1))
    dispatcher_driver.dispatch_all()
    dispatcher_driver.lose_messages()
    for _ in range(2):
        dispatcher_driver.sweep()
    assert len(dispatcher_driver.batches()) == 1


def test_an_unacknowledged_message_does_not_hide_another_loss(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """Each batch is checked by itself: Redis has an old delivery of one batch and has lost the message of another."""
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.ledger_driver.register(make_arrivals(1))
    dispatcher_driver.dispatch_all()
    (delivered,) = dispatcher_driver.batches()
    dispatcher_driver.leave_unacknowledged()
    dispatcher_driver.ledger_driver.register(make_arrivals(1))
    dispatcher_driver.dispatch_all()
    (lost,) = dispatcher_driver.batches()
    dispatcher_driver.lose_messages()
    for _ in range(2):
        dispatcher_driver.sweep()
    assert delivered in dispatcher_driver.ledger_driver.open_batches()
    assert lost not in dispatcher_driver.ledger_driver.open_batches()


def test_a_notification_ends_the_wait(dispatcher_driver: DispatcherDriver) -> None:
    """New images need not wait for the next poll."""
    dispatcher_driver.transport.wait_for_notification(0.01)  # it is subscribed from now on
    notification = threading.Timer(0.1, notify_dispatcher, [dispatcher_driver.redis])
    notification.start()
    began = time.monotonic()
    dispatcher_driver.transport.wait_for_notification(20)
    assert time.monotonic() - began < 10
    notification.join()


def test_only_one_dispatcher_may_run(database: Database, tmp_path: Path) -> None:
    """The second raises StopWork; it may start after the first has ended."""
    with only_dispatcher(database, tmp_path) as check:
        check()
        with pytest.raises(StopWork, match="Another dispatcher"), only_dispatcher(database, tmp_path):
            pass
    with only_dispatcher(database, tmp_path) as check:
        check()


@pytest.mark.servers
def test_a_dispatcher_that_lost_its_lock_stops(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """PostgreSQL releases the lock with the connection, so that another dispatcher may hold it."""
    with request.getfixturevalue("postgres_server").database() as database:
        with only_dispatcher(database, tmp_path) as check:
            check()
            with database.read() as connection:
                connection.execute(text(_END_LOCK_HOLDERS))
            with pytest.raises(StopWork, match="starts again"):
                check()
        with only_dispatcher(database, tmp_path) as check:
            check()


def test_a_batch_delivered_to_a_dead_worker_is_overdue_after_a_minute(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """Its message counts as delivered for 15 minutes, but an idle process need not wait for that."""
    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(3))
    dispatcher_driver.dispatch_all()
    (first,) = dispatcher_driver.batches()
    dispatcher_driver.leave_unacknowledged()
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    assert dispatcher_driver.ledger_driver.open_batches() == [first], (
        "no process counts as idle, since the worker sent no heartbeat for a minute"
    )

    dispatcher_driver.heartbeat(slots=1)
    dispatcher_driver.sweep()
    dispatcher_driver.dispatch_all()

    (second,) = dispatcher_driver.batches()
    assert second != first
    assert dispatcher_driver.ledger_driver.open_batches() == [second]


def test_a_batch_delivered_to_a_starting_process_is_not_lost(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """One process is idle; the other still loads its model and claims its batch afterwards."""
    dispatcher_driver.heartbeat(slots=2, starting=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(1))
    dispatcher_driver.dispatch_all()
    (batch,) = dispatcher_driver.batches()
    dispatcher_driver.leave_unacknowledged()
    dispatcher_driver.ledger_driver.clock.advance(seconds=25)
    dispatcher_driver.sweep()
    assert dispatcher_driver.ledger_driver.open_batches() == [batch]

    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.sweep()
    assert batch not in dispatcher_driver.ledger_driver.open_batches()


def test_a_process_that_never_gets_ready_does_not_keep_a_batch(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """Celery ends a process that starts for 180 s; a worker may also report more processes than it has."""
    dispatcher_driver.heartbeat(slots=2, starting=1)
    dispatcher_driver.ledger_driver.register(make_arrivals(1))
    dispatcher_driver.dispatch_all()
    (batch,) = dispatcher_driver.batches()
    dispatcher_driver.leave_unacknowledged()
    dispatcher_driver.ledger_driver.clock.advance(seconds=201)
    dispatcher_driver.heartbeat(slots=2, starting=1)
    dispatcher_driver.sweep()
    assert batch not in dispatcher_driver.ledger_driver.open_batches()
