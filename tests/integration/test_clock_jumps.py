"""A clock that jumps costs time and repeated work, and never work itself."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from desk import Desk, opened
from night import LEASE, Night, build_arrivals, build_outcome
from sqlalchemy import insert, select

from db import ledger, queries
from db.ledger import Batch, Cause
from db.tables import State, batches, work, workers
from nightread.contract import BATCH_QUEUE
from producer.sweeper import CLOCK_SECONDS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = [HOUR, -HOUR, -DAY]
WAIT = timedelta(seconds=300)


@pytest.fixture
def desk(night: Night, redis_url: str) -> Iterator[Desk]:
    """A dispatcher with leases of a minute."""
    knobs = {"lease_seconds": 60, "image_timeout_seconds": 60, "breaker_images": 10}
    with opened(night, redis_url, **knobs) as desk:
        yield desk


def jump(desk: Desk, by: timedelta) -> None:
    """The clock of every host is set, and the dispatcher looks for what lies ahead."""
    desk.night.clock.now += by
    sweep(desk)


def sweep(desk: Desk) -> None:
    """Let the time until the next look at the clock pass, and sweep."""
    desk.monotonic.advance(CLOCK_SECONDS)
    desk.sweep()


def bring_back(night: Night) -> int:
    return ledger.bring_back(night.database, lease=LEASE, longest_wait=WAIT, now=night.clock())


def live_through(desk: Desk, *, minutes: int) -> None:
    """A worker that lives takes what there is, a sweep every half minute."""
    for _ in range(2 * minutes):
        desk.worker(slots=2)
        desk.sweep()
        desk.dispatch_all()
        for batch in desk.batches():
            desk.redis.rpop(BATCH_QUEUE)
            desk.night.analyse(Batch(id=batch, images=0))
        desk.night.clock.advance(seconds=30)


@pytest.mark.parametrize("by", JUMPS)
def test_what_a_dead_worker_held_is_taken_back_within_a_lease(desk: Desk, by: timedelta) -> None:
    """However far ahead its lease was to end."""
    desk.night.register(build_arrivals(4))
    desk.dispatch_all()
    (batch,) = desk.batches()
    desk.redis.rpop(BATCH_QUEUE)
    desk.night.claim(Batch(id=batch, images=4))
    jump(desk, by)
    live_through(desk, minutes=3)
    assert set(desk.night.states()) == {"done"}


@pytest.mark.parametrize("by", JUMPS)
def test_a_worker_that_lives_records_what_it_holds_or_others_do(desk: Desk, by: timedelta) -> None:
    """Nothing twice: a lease that a jump ended gives the images to others, and the late record writes nothing."""
    desk.night.register(build_arrivals(4))
    desk.dispatch_all()
    (batch,) = desk.batches()
    desk.redis.rpop(BATCH_QUEUE)
    images = desk.night.claim(Batch(id=batch, images=4))
    jump(desk, by)
    recorded = desk.night.record(Batch(id=batch, images=4), [build_outcome(image) for image in images])
    assert recorded == ({} if by > timedelta() else {"done": 4})
    live_through(desk, minutes=3)
    assert set(desk.night.states()) == {"done"}
    assert len(desk.night.predicted()) == 4


@pytest.mark.parametrize("by", JUMPS)
def test_an_image_that_waits_for_its_next_try_waits_no_longer_than_the_cap(desk: Desk, by: timedelta) -> None:
    """And not until the clock shows again what it showed."""
    desk.night.register(build_arrivals(1))
    (batch,) = desk.night.form()
    later = desk.night.clock() + timedelta(seconds=200)
    desk.night.analyse(batch, state=State.RECEIVED, not_before=later)
    jump(desk, by)
    live_through(desk, minutes=6)
    assert set(desk.night.states()) == {"done"}


@pytest.mark.parametrize("by", JUMPS)
def test_a_message_that_was_lost_in_delivery_is_overdue_all_the_same(desk: Desk, by: timedelta) -> None:
    """The batch says that it was made in the future; a minute from now it counts as lost."""
    desk.night.register(build_arrivals(4))
    desk.dispatch_all()
    desk.deliver_to_nobody()
    jump(desk, by)
    live_through(desk, minutes=3)
    assert set(desk.night.states()) == {"done"}


@pytest.mark.parametrize("by", JUMPS)
def test_a_batch_that_others_overtook_is_lost_all_the_same(desk: Desk, by: timedelta) -> None:
    """Time is counted between batches that were made after the jump."""
    desk.night.register(build_arrivals(4))
    (lost,) = desk.night.form()
    jump(desk, by)
    desk.night.clock.advance(seconds=1)
    desk.night.register(build_arrivals(4))
    (later,) = desk.night.form()
    desk.night.claim(later)
    desk.night.clock.advance(seconds=61)
    ledger.return_overtaken(desk.night.database, now=desk.night.clock())
    assert lost.id not in desk.night.open_batches()


@pytest.mark.parametrize("by", JUMPS)
def test_a_worker_that_is_dead_has_no_slots_a_minute_later(desk: Desk, by: timedelta) -> None:
    """A heartbeat from the future is no sign of life."""
    desk.worker(slots=8)
    jump(desk, by)
    desk.night.clock.advance(seconds=46)
    assert ledger.look(desk.night.database, images=1, now=desk.night.clock()).slots == 0
    assert not any(worker.alive for worker in queries.workers(desk.night.database, now=desk.night.clock()))


@pytest.mark.parametrize("by", JUMPS)
def test_a_worker_that_lives_has_its_slots_at_its_next_beat(desk: Desk, by: timedelta) -> None:
    """Ten seconds later."""
    desk.worker(slots=8)
    jump(desk, by)
    desk.night.clock.advance(seconds=10)
    desk.worker(slots=8)
    assert ledger.look(desk.night.database, images=1, now=desk.night.clock()).slots == 8


def bad_night(desk: Desk) -> None:
    """Ten bad outcomes, a second before now."""
    desk.night.register(build_arrivals(10))
    desk.night.analyse_all(state=State.FAILED)
    desk.night.clock.advance(seconds=1)


@pytest.mark.parametrize("by", JUMPS)
def test_the_breaker_counts_what_comes_after_the_jump(desk: Desk, by: timedelta) -> None:
    """Outcomes from a future that did not come hide none of today's."""
    desk.night.register(build_arrivals(10))
    desk.night.analyse_all()
    desk.night.clock.advance(seconds=1)
    jump(desk, by)
    bad_night(desk)
    desk.sweep()
    assert [pause.cause for pause in queries.pauses(desk.night.database)] == [Cause.BREAKER]


@pytest.mark.parametrize("by", JUMPS)
def test_a_breaker_that_was_reset_counts_from_zero_after_the_jump(desk: Desk, by: timedelta) -> None:
    """A pause that ended in the future ends now: neither old outcomes nor none at all are counted until then."""
    bad_night(desk)
    desk.sweep()
    ledger.end_pauses(desk.night.database, actor="anna", now=desk.night.clock())
    jump(desk, by)
    assert queries.pauses(desk.night.database) == []
    desk.night.clock.advance(seconds=1)
    bad_night(desk)
    desk.sweep()
    assert len(queries.pauses(desk.night.database)) == 1


@pytest.mark.parametrize("by", JUMPS)
def test_the_next_probe_is_not_waited_for_longer_than_its_time(desk: Desk, by: timedelta) -> None:
    """Neither the first, counted from the pause, nor one after a probe."""
    bad_night(desk)
    desk.sweep()
    desk.night.register(build_arrivals(20))
    jump(desk, by)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    (probe,) = desk.batches()
    jump(desk, by)
    desk.redis.rpop(BATCH_QUEUE)
    desk.night.analyse(Batch(id=probe, images=16))
    desk.sweep()
    desk.sweep()
    assert queries.pauses(desk.night.database) == []


def test_times_that_may_lie_ahead_are_left_alone(night: Night) -> None:
    """Leases that were just renewed by a host whose clock is a little ahead, waits within the cap."""
    night.register(build_arrivals(3))
    waiting, running, _open = night.form(images=1)
    night.analyse(waiting, state=State.RECEIVED, not_before=night.clock() + WAIT)
    night.claim(running)
    before = rows(night)
    night.clock.advance(seconds=-8)
    assert bring_back(night) == 0
    assert rows(night) == before


def test_what_lies_ahead_is_corrected_once(night: Night) -> None:
    """A lease to a lease from now, a wait to the longest, the rest to now."""
    night.register(build_arrivals(3))
    waiting, running, open_one = night.form(images=1)
    night.analyse(waiting, state=State.RECEIVED, not_before=night.clock() + WAIT)
    night.claim(running)
    ledger.pause(night.database, Cause.BREAKER, detail="", now=night.clock())
    ledger.note_probe(night.database, open_one.id, now=night.clock())
    with night.database.writer.begin() as connection:
        beat = {"node": "w", "boot_id": "b", "slots": 1, "device": "", "release": ""}
        connection.execute(insert(workers), {**beat, "started_at": night.clock(), "heartbeat_at": night.clock()})
    now = night.clock.advance(days=-1)

    assert bring_back(night) == 6
    assert bring_back(night) == 0

    first, second, _ = night.work()
    (pause,) = queries.pauses(night.database)
    assert (first.not_before, second.lease_until) == (now + WAIT, now + LEASE)
    assert (pause.since, pause.probed_at) == (now, now)
    with night.database.read() as connection:
        assert connection.execute(select(workers.c.heartbeat_at)).scalar_one() == now
        made = connection.execute(select(batches.c.created_at).where(batches.c.id == open_one.id)).scalar_one()
    assert made == now


def rows(night: Night) -> list[Any]:
    with night.database.read() as connection:
        return [*connection.execute(select(work).order_by(work.c.id)), *connection.execute(select(batches))]
