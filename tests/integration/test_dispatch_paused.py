"""While dispatch is paused nothing goes but probes, and everything comes in its time again."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dispatcher_driver import DispatcherDriver, opened
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from small_disk import small_disk

from db import ledger, queries
from db.ledger import Batch, Cause
from db.tables import State
from nightread.contract import BATCH_QUEUE
from nightread.reasons import Reason

BAD: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.BAD_PIXELS}
SAID = "dispatch is paused: `nightread status` says why"
MIB = 1024**2


@pytest.fixture
def dispatcher_driver(ledger_driver: LedgerDriver, redis_url: str) -> Iterator[DispatcherDriver]:
    """A dispatcher that decides on ten outcomes."""
    with opened(ledger_driver, redis_url, breaker_images=10, breaker_probe_seconds=300) as dispatcher_driver:
        yield dispatcher_driver


def causes(dispatcher_driver: DispatcherDriver) -> list[Cause]:
    return [pause.cause for pause in queries.pauses(dispatcher_driver.ledger_driver.database)]


def take(dispatcher_driver: DispatcherDriver) -> Batch:
    """The batch that waits longest in Redis, as a worker takes it."""
    batch = dispatcher_driver.batches()[0]
    dispatcher_driver.redis.rpop(BATCH_QUEUE)
    images = sum(row.batch_id == batch for row in dispatcher_driver.ledger_driver.work())
    return Batch(id=batch, images=images)


def drain(dispatcher_driver: DispatcherDriver, **fields: Any) -> None:
    """A worker ends what is published with this outcome, and what is published then."""
    dispatcher_driver.worker(slots=2)
    dispatcher_driver.dispatch_all()
    while dispatcher_driver.batches():
        dispatcher_driver.ledger_driver.analyse(take(dispatcher_driver), **fields)
        dispatcher_driver.dispatch_all()
    dispatcher_driver.ledger_driver.clock.advance(seconds=1)


def trip(dispatcher_driver: DispatcherDriver) -> None:
    """Ten bad outcomes, twenty images that wait, and a sweep."""
    dispatcher_driver.ledger_driver.register(build_arrivals(10))
    drain(dispatcher_driver, **BAD)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.register(build_arrivals(20))
    dispatcher_driver.worker(slots=2)


def test_bad_outcomes_pause_dispatch(dispatcher_driver: DispatcherDriver, caplog: pytest.LogCaptureFixture) -> None:
    """What arrives is registered and waits; the log says so once, status why."""
    trip(dispatcher_driver)
    for _ in range(3):
        dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == [Cause.BREAKER]
    assert dispatcher_driver.batches() == []
    assert dispatcher_driver.ledger_driver.states().count("received") == 20
    assert [record.getMessage() for record in caplog.records].count(SAID) == 1
    (pause,) = queries.pauses(dispatcher_driver.ledger_driver.database)
    assert "10 of the latest 10 images" in pause.detail
    assert "bad_pixels" in pause.detail


def test_few_bad_outcomes_pause_nothing(dispatcher_driver: DispatcherDriver) -> None:
    """Scans are bad now and then."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    drain(dispatcher_driver, **BAD)
    dispatcher_driver.ledger_driver.register(build_arrivals(6))
    drain(dispatcher_driver)
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []


def test_a_probe_of_sixteen_goes_in_its_time_and_one_only(dispatcher_driver: DispatcherDriver) -> None:
    """Until its images have outcomes nothing else goes."""
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=299)
    dispatcher_driver.sweep()
    assert dispatcher_driver.batches() == []
    dispatcher_driver.ledger_driver.clock.advance(seconds=2)
    dispatcher_driver.worker(slots=2)
    dispatcher_driver.sweep()
    (probe,) = dispatcher_driver.batches()
    assert [row.batch_id for row in dispatcher_driver.ledger_driver.work()].count(probe) == 16
    dispatcher_driver.ledger_driver.clock.advance(seconds=3600)
    dispatcher_driver.sweep()
    assert dispatcher_driver.batches() == [probe]


def test_what_waits_for_its_source_does_not_starve_the_probes(dispatcher_driver: DispatcherDriver) -> None:
    """Forty images of a share that is away are older, and ready again whenever a probe is due."""
    dispatcher_driver.ledger_driver.register(build_arrivals(40))
    away = dispatcher_driver.ledger_driver.clock() + timedelta(seconds=200)
    dispatcher_driver.ledger_driver.analyse_all(
        state=State.RECEIVED, reason=Reason.SOURCE_GONE, not_before=away, uncounted=True
    )
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    (probe,) = dispatcher_driver.batches()
    taken = {row.instance_id for row in dispatcher_driver.ledger_driver.work() if row.batch_id == probe}
    assert min(taken) > 40


def test_outcomes_of_another_night_pause_nothing(dispatcher_driver: DispatcherDriver) -> None:
    """They say nothing of this one."""
    dispatcher_driver.ledger_driver.register(build_arrivals(10))
    drain(dispatcher_driver, **BAD)
    dispatcher_driver.ledger_driver.clock.advance(hours=13)
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []


def test_a_good_probe_ends_the_pause(dispatcher_driver: DispatcherDriver, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody need be awake for it."""
    caplog.set_level(logging.INFO)
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.analyse(take(dispatcher_driver))
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []
    assert "dispatch goes on" in caplog.text
    drain(dispatcher_driver)
    assert set(dispatcher_driver.ledger_driver.states()[10:]) == {"done"}


def test_a_bad_probe_is_followed_by_another_in_its_time(dispatcher_driver: DispatcherDriver) -> None:
    """Sixteen images each time, and not the whole night."""
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.analyse(take(dispatcher_driver), **BAD)
    dispatcher_driver.ledger_driver.clock.advance(seconds=299)
    dispatcher_driver.sweep()
    assert (causes(dispatcher_driver), dispatcher_driver.batches()) == ([Cause.BREAKER], [])
    dispatcher_driver.ledger_driver.clock.advance(seconds=2)
    dispatcher_driver.sweep()
    assert len(dispatcher_driver.batches()) == 1
    assert dispatcher_driver.ledger_driver.states().count("queued") == 4


def test_a_probe_whose_worker_died_is_followed_by_another(dispatcher_driver: DispatcherDriver) -> None:
    """It told nothing: what killed the worker goes on its own, and the next probe leaves it out."""
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    probe = take(dispatcher_driver)
    dispatcher_driver.ledger_driver.claim(probe)
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    assert dispatcher_driver.ledger_driver.states().count("received") == 20
    dispatcher_driver.ledger_driver.clock.advance(seconds=240)
    dispatcher_driver.sweep()
    waiting = [row.alone for row in dispatcher_driver.ledger_driver.work() if row.state == "queued"]
    assert waiting == [False] * 4


def test_a_probe_of_suspects_goes_where_there_is_nothing_else(dispatcher_driver: DispatcherDriver) -> None:
    """Else a night of which only those are left would be paused for ever."""
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    probe = take(dispatcher_driver)
    dispatcher_driver.ledger_driver.claim(probe)
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.clock.advance(seconds=240)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.analyse(take(dispatcher_driver), **BAD)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    assert [row.alone for row in dispatcher_driver.ledger_driver.work() if row.state == "queued"] == [True]


def test_a_dispatcher_that_starts_anew_finds_its_pauses(dispatcher_driver: DispatcherDriver, redis_url: str) -> None:
    """A probe that its predecessor sent included."""
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    with opened(dispatcher_driver.ledger_driver, redis_url, breaker_images=10) as successor:
        successor.sweep()
        (probe,) = successor.batches()
        assert successor.ledger_driver.states().count("queued") == 16
        successor.ledger_driver.analyse(Batch(id=probe, images=16))
        successor.redis.rpop(BATCH_QUEUE)
        successor.sweep()
        assert causes(successor) == []


def test_a_dispatcher_whose_breaker_is_off_ends_the_pause(dispatcher_driver: DispatcherDriver, redis_url: str) -> None:
    """`nightread run` over the state of `nightread up`."""
    trip(dispatcher_driver)
    with opened(dispatcher_driver.ledger_driver, redis_url, breaker_images=0) as other:
        other.sweep()
        assert causes(other) == []
        assert other.batches()


def test_a_person_who_resumes_is_obeyed_at_the_next_look(dispatcher_driver: DispatcherDriver) -> None:
    """The outcomes that tripped the breaker do not trip it again."""
    trip(dispatcher_driver)
    ledger.end_pauses(
        dispatcher_driver.ledger_driver.database, actor="anna", now=dispatcher_driver.ledger_driver.clock()
    )
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []
    assert dispatcher_driver.batches()


def test_a_person_s_pause_stops_probes_too(dispatcher_driver: DispatcherDriver) -> None:
    """Nothing goes at all; what the workers have is recorded."""
    trip(dispatcher_driver)
    ledger.pause(
        dispatcher_driver.ledger_driver.database,
        Cause.PERSON,
        detail="",
        actor="anna",
        now=dispatcher_driver.ledger_driver.clock(),
    )
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    assert dispatcher_driver.batches() == []
    ledger.end_pauses(
        dispatcher_driver.ledger_driver.database, [Cause.PERSON], now=dispatcher_driver.ledger_driver.clock()
    )
    dispatcher_driver.sweep()
    assert len(dispatcher_driver.batches()) == 1


def test_sweeps_go_on_while_dispatch_is_paused(dispatcher_driver: DispatcherDriver) -> None:
    """What a dead worker held is taken back, and waits."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    dispatcher_driver.dispatch_all()
    dispatcher_driver.ledger_driver.claim(take(dispatcher_driver))
    ledger.pause(
        dispatcher_driver.ledger_driver.database,
        Cause.PERSON,
        detail="",
        actor="anna",
        now=dispatcher_driver.ledger_driver.clock(),
    )
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    assert set(dispatcher_driver.ledger_driver.states()) == {"received"}


def test_a_disk_that_runs_full_pauses_dispatch_until_there_is_room(
    ledger_driver: LedgerDriver, redis_url: str, tmp_path: Path
) -> None:
    """Room comes back a little above the mark, so that work does not start and stop by turns."""
    with small_disk(tmp_path / "disk", mib=8) as disk:
        knobs = {"state_dir": disk, "disk_reserve_bytes": 4 * MIB}
        if ledger_driver.database.is_sqlite:
            knobs["database_url"] = str(ledger_driver.database.writer.url)
        with opened(ledger_driver, redis_url, **knobs) as dispatcher_driver:
            filler = disk / "filler"
            filler.write_bytes(bytes(5 * MIB))
            ledger_driver.register(build_arrivals(4))
            dispatcher_driver.sweep()
            assert (causes(dispatcher_driver), dispatcher_driver.batches()) == ([Cause.DISK], [])
            filler.write_bytes(bytes(int(3.8 * MIB)))
            dispatcher_driver.sweep()
            assert causes(dispatcher_driver) == [Cause.DISK]
            filler.unlink()
            dispatcher_driver.sweep()
            assert (causes(dispatcher_driver), len(dispatcher_driver.batches())) == ([], 1)


def test_late_outcomes_of_a_probe_are_no_answer_to_the_next(dispatcher_driver: DispatcherDriver) -> None:
    """A worker that lost its lease writes nothing, so the probe after it speaks for itself."""
    trip(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    first = take(dispatcher_driver)
    images = dispatcher_driver.ledger_driver.claim(first)
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.record(first, [build_outcome(image) for image in images])
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == [Cause.BREAKER]
