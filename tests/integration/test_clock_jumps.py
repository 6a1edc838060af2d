"""Clock jumps cause delays and repeated work, but no lost work."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from dispatcher_driver import DispatcherDriver, open_dispatcher
from ledger_driver import LEASE, LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import insert, select

from db import ledger, queries
from db.ledger import Batch, Cause
from db.tables import State, batches, work, workers
from producer.dispatcher.sweeper import CLOCK_SECONDS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = [HOUR, -HOUR, -DAY]
WAIT = timedelta(seconds=300)


@pytest.fixture
def dispatcher_driver(ledger_driver: LedgerDriver, redis_url: str) -> Iterator[DispatcherDriver]:
    """A dispatcher with leases of 60 s."""
    knobs = {"lease_seconds": 60, "image_timeout_seconds": 60, "breaker_images": 10}
    with open_dispatcher(ledger_driver, redis_url, **knobs) as dispatcher_driver:
        yield dispatcher_driver


def set_clock(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """Move the clock of every host, and let the dispatcher repair future times."""
    dispatcher_driver.ledger_driver.clock.now += by
    sweep(dispatcher_driver)


def sweep(dispatcher_driver: DispatcherDriver) -> None:
    """Let the time until the next clock check pass, and sweep."""
    dispatcher_driver.monotonic.advance(CLOCK_SECONDS)
    dispatcher_driver.sweep()


def clamp_future_times(ledger_driver: LedgerDriver) -> int:
    return ledger.clamp_future_times(ledger_driver.database, lease=LEASE, longest_wait=WAIT, now=ledger_driver.clock())


def run_worker_for(dispatcher_driver: DispatcherDriver, *, minutes: int) -> None:
    """Run a live worker that takes all batches, with a sweep every 30 s."""
    for _ in range(2 * minutes):
        dispatcher_driver.heartbeat(slots=2)
        dispatcher_driver.sweep()
        dispatcher_driver.dispatch_all()
        for batch in dispatcher_driver.batches():
            dispatcher_driver.take_message()
            dispatcher_driver.ledger_driver.analyse(Batch(id=batch, images=0))
        dispatcher_driver.ledger_driver.clock.advance(seconds=30)


@pytest.mark.parametrize("by", JUMPS)
def test_images_of_a_dead_worker_are_taken_back_within_a_lease(
    dispatcher_driver: DispatcherDriver, by: timedelta
) -> None:
    """This holds however far in the future its lease ended."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    dispatcher_driver.dispatch_all()
    (batch,) = dispatcher_driver.batches()
    dispatcher_driver.take_message()
    dispatcher_driver.ledger_driver.claim(Batch(id=batch, images=4))
    set_clock(dispatcher_driver, by)
    run_worker_for(dispatcher_driver, minutes=3)
    assert set(dispatcher_driver.ledger_driver.states()) == {"done"}


@pytest.mark.parametrize("by", JUMPS)
def test_each_image_is_recorded_once_by_its_worker_or_by_another(
    dispatcher_driver: DispatcherDriver, by: timedelta
) -> None:
    """If the jump ends a lease, other processes get the images, and the late record writes nothing."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    dispatcher_driver.dispatch_all()
    (batch,) = dispatcher_driver.batches()
    dispatcher_driver.take_message()
    images = dispatcher_driver.ledger_driver.claim(Batch(id=batch, images=4))
    set_clock(dispatcher_driver, by)
    recorded = dispatcher_driver.ledger_driver.record(
        Batch(id=batch, images=4), [build_outcome(image) for image in images]
    )
    assert recorded == ({} if by > timedelta() else {"done": 4})
    run_worker_for(dispatcher_driver, minutes=3)
    assert set(dispatcher_driver.ledger_driver.states()) == {"done"}
    assert len(dispatcher_driver.ledger_driver.predicted()) == 4


@pytest.mark.parametrize("by", JUMPS)
def test_a_retry_pause_is_not_longer_than_the_longest_pause(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """The image does not wait until the clock reaches the old time again."""
    dispatcher_driver.ledger_driver.register(build_arrivals(1))
    (batch,) = dispatcher_driver.ledger_driver.form()
    later = dispatcher_driver.ledger_driver.clock() + timedelta(seconds=200)
    dispatcher_driver.ledger_driver.analyse(batch, state=State.RECEIVED, not_before=later)
    set_clock(dispatcher_driver, by)
    run_worker_for(dispatcher_driver, minutes=6)
    assert set(dispatcher_driver.ledger_driver.states()) == {"done"}


@pytest.mark.parametrize("by", JUMPS)
def test_a_message_that_was_lost_in_delivery_is_found(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """Its batch was created in the future; 60 s after the repair it counts as lost."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    dispatcher_driver.dispatch_all()
    dispatcher_driver.leave_unacknowledged()
    set_clock(dispatcher_driver, by)
    run_worker_for(dispatcher_driver, minutes=3)
    assert set(dispatcher_driver.ledger_driver.states()) == {"done"}


@pytest.mark.parametrize("by", JUMPS)
def test_an_overtaken_batch_is_taken_back(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """The time counts between batches that were formed after the jump."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    (lost,) = dispatcher_driver.ledger_driver.form()
    set_clock(dispatcher_driver, by)
    dispatcher_driver.ledger_driver.clock.advance(seconds=1)
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    (later,) = dispatcher_driver.ledger_driver.form()
    dispatcher_driver.ledger_driver.claim(later)
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    ledger.return_overtaken(dispatcher_driver.ledger_driver.database, now=dispatcher_driver.ledger_driver.clock())
    assert lost.id not in dispatcher_driver.ledger_driver.open_batches()


@pytest.mark.parametrize("by", JUMPS)
def test_a_worker_that_is_dead_has_no_slots_a_minute_later(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """A heartbeat from the future is no sign of life."""
    dispatcher_driver.heartbeat(slots=8)
    set_clock(dispatcher_driver, by)
    dispatcher_driver.ledger_driver.clock.advance(seconds=46)
    assert (
        ledger.queue_status(
            dispatcher_driver.ledger_driver.database, images=1, now=dispatcher_driver.ledger_driver.clock()
        ).slots
        == 0
    )
    assert not any(
        worker.alive
        for worker in queries.workers(
            dispatcher_driver.ledger_driver.database, now=dispatcher_driver.ledger_driver.clock()
        )
    )


@pytest.mark.parametrize("by", JUMPS)
def test_a_worker_that_lives_has_its_slots_at_its_next_beat(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """Ten seconds later."""
    dispatcher_driver.heartbeat(slots=8)
    set_clock(dispatcher_driver, by)
    dispatcher_driver.ledger_driver.clock.advance(seconds=10)
    dispatcher_driver.heartbeat(slots=8)
    assert (
        ledger.queue_status(
            dispatcher_driver.ledger_driver.database, images=1, now=dispatcher_driver.ledger_driver.clock()
        ).slots
        == 8
    )


def ten_failures(dispatcher_driver: DispatcherDriver) -> None:
    """Record ten bad outcomes, one second before now."""
    dispatcher_driver.ledger_driver.register(build_arrivals(10))
    dispatcher_driver.ledger_driver.analyse_all(state=State.FAILED)
    dispatcher_driver.ledger_driver.clock.advance(seconds=1)


@pytest.mark.parametrize("by", JUMPS)
def test_the_breaker_counts_outcomes_after_the_jump(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """Outcomes with a time in the future do not hide present ones."""
    dispatcher_driver.ledger_driver.register(build_arrivals(10))
    dispatcher_driver.ledger_driver.analyse_all()
    dispatcher_driver.ledger_driver.clock.advance(seconds=1)
    set_clock(dispatcher_driver, by)
    ten_failures(dispatcher_driver)
    dispatcher_driver.sweep()
    assert [pause.cause for pause in queries.pauses(dispatcher_driver.ledger_driver.database)] == [Cause.BREAKER]


@pytest.mark.parametrize("by", JUMPS)
def test_a_breaker_that_was_reset_counts_from_zero_after_the_jump(
    dispatcher_driver: DispatcherDriver, by: timedelta
) -> None:
    """A pause that ended in the future ends now, and only later outcomes count."""
    ten_failures(dispatcher_driver)
    dispatcher_driver.sweep()
    ledger.end_pauses(
        dispatcher_driver.ledger_driver.database, actor="anna", now=dispatcher_driver.ledger_driver.clock()
    )
    set_clock(dispatcher_driver, by)
    assert queries.pauses(dispatcher_driver.ledger_driver.database) == []
    dispatcher_driver.ledger_driver.clock.advance(seconds=1)
    ten_failures(dispatcher_driver)
    dispatcher_driver.sweep()
    assert len(queries.pauses(dispatcher_driver.ledger_driver.database)) == 1


@pytest.mark.parametrize("by", JUMPS)
def test_the_next_probe_is_not_delayed(dispatcher_driver: DispatcherDriver, by: timedelta) -> None:
    """This holds for the first probe, counted from the pause, and for later ones."""
    ten_failures(dispatcher_driver)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.register(build_arrivals(20))
    set_clock(dispatcher_driver, by)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    (probe,) = dispatcher_driver.batches()
    set_clock(dispatcher_driver, by)
    dispatcher_driver.take_message()
    dispatcher_driver.ledger_driver.analyse(Batch(id=probe, images=16))
    dispatcher_driver.sweep()
    dispatcher_driver.sweep()
    assert queries.pauses(dispatcher_driver.ledger_driver.database) == []


def test_valid_times_in_the_future_stay(ledger_driver: LedgerDriver) -> None:
    """Leases that a host with a slightly fast clock renewed, and retry pauses within the limit, stay."""
    ledger_driver.register(build_arrivals(3))
    waiting, running, _open = ledger_driver.form(images=1)
    ledger_driver.analyse(waiting, state=State.RECEIVED, not_before=ledger_driver.clock() + WAIT)
    ledger_driver.claim(running)
    before = rows(ledger_driver)
    ledger_driver.clock.advance(seconds=-8)
    assert clamp_future_times(ledger_driver) == 0
    assert rows(ledger_driver) == before


def test_times_in_the_future_are_repaired_once(ledger_driver: LedgerDriver) -> None:
    """A lease becomes one lease from now, a retry pause the longest pause, other times become now."""
    ledger_driver.register(build_arrivals(3))
    waiting, running, open_one = ledger_driver.form(images=1)
    ledger_driver.analyse(waiting, state=State.RECEIVED, not_before=ledger_driver.clock() + WAIT)
    ledger_driver.claim(running)
    ledger.pause(ledger_driver.database, Cause.BREAKER, detail="", now=ledger_driver.clock())
    ledger.set_probe(ledger_driver.database, ledger_driver.pause_id(), open_one.id, now=ledger_driver.clock())
    with ledger_driver.database.writer.begin() as connection:
        beat = {"node": "w", "boot_id": "b", "slots": 1, "device": "", "release": ""}
        connection.execute(
            insert(workers), {**beat, "started_at": ledger_driver.clock(), "heartbeat_at": ledger_driver.clock()}
        )
    now = ledger_driver.clock.advance(days=-1)

    assert clamp_future_times(ledger_driver) == 6
    assert clamp_future_times(ledger_driver) == 0

    first, second, _ = ledger_driver.work()
    (pause,) = queries.pauses(ledger_driver.database)
    assert (first.not_before, second.lease_until) == (now + WAIT, now + LEASE)
    assert (pause.since, pause.probed_at) == (now, now)
    with ledger_driver.database.read() as connection:
        assert connection.execute(select(workers.c.heartbeat_at)).scalar_one() == now
        made = connection.execute(select(batches.c.created_at).where(batches.c.id == open_one.id)).scalar_one()
    assert made == now


def rows(ledger_driver: LedgerDriver) -> list[Any]:
    with ledger_driver.database.read() as connection:
        return [*connection.execute(select(work).order_by(work.c.id)), *connection.execute(select(batches))]
