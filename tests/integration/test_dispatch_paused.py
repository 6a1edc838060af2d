"""While dispatch is paused only probes are sent, and all images are sent afterwards."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dispatcher_driver import DispatcherDriver, open_dispatcher
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from small_disk import small_disk

from db import ledger, queries
from db.ledger import Batch, Cause
from db.tables import State
from nightread.reasons import Reason

BAD: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.BAD_PIXELS}
PAUSED = "dispatch is paused: `nightread status` shows the reason"
MIB = 1024**2


@pytest.fixture
def dispatcher_driver(ledger_driver: LedgerDriver, redis_url: str) -> Iterator[DispatcherDriver]:
    """A dispatcher that decides on ten outcomes."""
    with open_dispatcher(ledger_driver, redis_url, breaker_images=10, breaker_probe_seconds=300) as dispatcher_driver:
        yield dispatcher_driver


def causes(dispatcher_driver: DispatcherDriver) -> list[Cause]:
    return [pause.cause for pause in queries.pauses(dispatcher_driver.ledger_driver.database)]


def claim_one(dispatcher_driver: DispatcherDriver) -> Batch:
    """Take the oldest batch from Redis, as a worker does."""
    batch = dispatcher_driver.batches()[0]
    dispatcher_driver.take_message()
    images = sum(row.batch_id == batch for row in dispatcher_driver.ledger_driver.work())
    return Batch(id=batch, images=images)


def analyse_all(dispatcher_driver: DispatcherDriver, **fields: Any) -> None:
    """Publish and analyse all waiting images, with this outcome."""
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.dispatch_all()
    while dispatcher_driver.batches():
        dispatcher_driver.ledger_driver.analyse(claim_one(dispatcher_driver), **fields)
        dispatcher_driver.dispatch_all()
    dispatcher_driver.ledger_driver.clock.advance(seconds=1)


def open_breaker(dispatcher_driver: DispatcherDriver) -> None:
    """Record ten bad outcomes, sweep, and register twenty images that then wait."""
    dispatcher_driver.ledger_driver.register(build_arrivals(10))
    analyse_all(dispatcher_driver, **BAD)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.register(build_arrivals(20))
    dispatcher_driver.heartbeat(slots=2)


def test_bad_outcomes_pause_dispatch(dispatcher_driver: DispatcherDriver, caplog: pytest.LogCaptureFixture) -> None:
    """New images are registered and wait; the log has one message, and the pause has the reason."""
    open_breaker(dispatcher_driver)
    for _ in range(3):
        dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == [Cause.BREAKER]
    assert dispatcher_driver.batches() == []
    assert dispatcher_driver.ledger_driver.states().count("received") == 20
    assert [record.getMessage() for record in caplog.records].count(PAUSED) == 1
    (pause,) = queries.pauses(dispatcher_driver.ledger_driver.database)
    assert "10 of its latest 10 images" in pause.detail
    assert "bad_pixels" in pause.detail


def test_few_bad_outcomes_pause_nothing(dispatcher_driver: DispatcherDriver) -> None:
    """A few bad outcomes are normal."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    analyse_all(dispatcher_driver, **BAD)
    dispatcher_driver.ledger_driver.register(build_arrivals(6))
    analyse_all(dispatcher_driver)
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []


def test_one_probe_of_sixteen_images_is_sent_when_it_is_due(dispatcher_driver: DispatcherDriver) -> None:
    """No other batch is sent until its images have outcomes."""
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=299)
    dispatcher_driver.sweep()
    assert dispatcher_driver.batches() == []
    dispatcher_driver.ledger_driver.clock.advance(seconds=2)
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.sweep()
    (probe,) = dispatcher_driver.batches()
    assert [row.batch_id for row in dispatcher_driver.ledger_driver.work()].count(probe) == 16
    dispatcher_driver.ledger_driver.clock.advance(seconds=3600)
    dispatcher_driver.sweep()
    assert dispatcher_driver.batches() == [probe]


def test_images_that_wait_for_their_source_do_not_starve_probes(dispatcher_driver: DispatcherDriver) -> None:
    """Forty older images of a missing share are ready again whenever a probe is due."""
    dispatcher_driver.ledger_driver.register(build_arrivals(40))
    away = dispatcher_driver.ledger_driver.clock() + timedelta(seconds=200)
    dispatcher_driver.ledger_driver.analyse_all(
        state=State.RECEIVED, reason=Reason.SOURCE_GONE, not_before=away, uncounted=True
    )
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    (probe,) = dispatcher_driver.batches()
    taken = {row.instance_id for row in dispatcher_driver.ledger_driver.work() if row.batch_id == probe}
    assert min(taken) > 40


def test_outcomes_of_another_night_pause_nothing(dispatcher_driver: DispatcherDriver) -> None:
    """Outcomes older than twelve hours are ignored."""
    dispatcher_driver.ledger_driver.register(build_arrivals(10))
    analyse_all(dispatcher_driver, **BAD)
    dispatcher_driver.ledger_driver.clock.advance(hours=13)
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []


def test_a_good_probe_ends_the_pause(dispatcher_driver: DispatcherDriver, caplog: pytest.LogCaptureFixture) -> None:
    """Dispatch resumes without an operator."""
    caplog.set_level(logging.INFO)
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.analyse(claim_one(dispatcher_driver))
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []
    assert "dispatch is resumed" in caplog.text
    analyse_all(dispatcher_driver)
    assert set(dispatcher_driver.ledger_driver.states()[10:]) == {"done"}


def test_a_bad_probe_is_followed_by_another_after_the_interval(dispatcher_driver: DispatcherDriver) -> None:
    """Each probe risks only sixteen images."""
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.analyse(claim_one(dispatcher_driver), **BAD)
    dispatcher_driver.ledger_driver.clock.advance(seconds=299)
    dispatcher_driver.sweep()
    assert (causes(dispatcher_driver), dispatcher_driver.batches()) == ([Cause.BREAKER], [])
    dispatcher_driver.ledger_driver.clock.advance(seconds=2)
    dispatcher_driver.sweep()
    assert len(dispatcher_driver.batches()) == 1
    assert dispatcher_driver.ledger_driver.states().count("queued") == 4


def test_a_probe_whose_worker_died_is_followed_by_another(dispatcher_driver: DispatcherDriver) -> None:
    """It has no outcomes; the next probe omits its images, one of which may have killed the worker."""
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    probe = claim_one(dispatcher_driver)
    dispatcher_driver.ledger_driver.claim(probe)
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    assert dispatcher_driver.ledger_driver.states().count("received") == 20
    dispatcher_driver.ledger_driver.clock.advance(seconds=240)
    dispatcher_driver.sweep()
    waiting = [row.alone for row in dispatcher_driver.ledger_driver.work() if row.state == "queued"]
    assert waiting == [False] * 4


def test_a_probe_of_a_suspect_is_sent_if_no_other_images_wait(dispatcher_driver: DispatcherDriver) -> None:
    """Otherwise dispatch would stay paused for ever when only suspects are left."""
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    probe = claim_one(dispatcher_driver)
    dispatcher_driver.ledger_driver.claim(probe)
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.clock.advance(seconds=240)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.analyse(claim_one(dispatcher_driver), **BAD)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    assert [row.alone for row in dispatcher_driver.ledger_driver.work() if row.state == "queued"] == [True]


def test_a_restarted_dispatcher_finds_its_pauses(dispatcher_driver: DispatcherDriver, redis_url: str) -> None:
    """It also finds the probe that its predecessor sent."""
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    with open_dispatcher(dispatcher_driver.ledger_driver, redis_url, breaker_images=10) as successor:
        successor.sweep()
        (probe,) = successor.batches()
        assert successor.ledger_driver.states().count("queued") == 16
        successor.ledger_driver.analyse(Batch(id=probe, images=16))
        successor.take_message()
        successor.sweep()
        assert causes(successor) == []


def test_a_dispatcher_whose_breaker_is_off_ends_the_pause(dispatcher_driver: DispatcherDriver, redis_url: str) -> None:
    """`nightread run` may use the state folder of `nightread up`."""
    open_breaker(dispatcher_driver)
    with open_dispatcher(dispatcher_driver.ledger_driver, redis_url, breaker_images=0) as other:
        other.sweep()
        assert causes(other) == []
        assert other.batches()


def test_a_person_can_end_the_breaker_s_pause(dispatcher_driver: DispatcherDriver) -> None:
    """The outcomes that tripped the breaker do not trip it again."""
    open_breaker(dispatcher_driver)
    ledger.end_pauses(
        dispatcher_driver.ledger_driver.database, actor="anna", now=dispatcher_driver.ledger_driver.clock()
    )
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == []
    assert dispatcher_driver.batches()


def test_a_person_s_pause_stops_probes_too(dispatcher_driver: DispatcherDriver) -> None:
    """No batch is sent at all until the person ends the pause."""
    open_breaker(dispatcher_driver)
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


def test_sweeps_continue_while_dispatch_is_paused(dispatcher_driver: DispatcherDriver) -> None:
    """Images of a dead worker are returned to the backlog and wait."""
    dispatcher_driver.ledger_driver.register(build_arrivals(4))
    dispatcher_driver.dispatch_all()
    dispatcher_driver.ledger_driver.claim(claim_one(dispatcher_driver))
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


def test_a_full_disk_pauses_dispatch_until_there_is_space(
    ledger_driver: LedgerDriver, redis_url: str, tmp_path: Path
) -> None:
    """Dispatch resumes a little above the threshold, which avoids flapping."""
    with small_disk(tmp_path / "disk", mib=8) as disk:
        knobs = {"state_dir": disk, "disk_reserve_bytes": 4 * MIB}
        if ledger_driver.database.is_sqlite:
            knobs["database_url"] = str(ledger_driver.database.writer.url)
        with open_dispatcher(ledger_driver, redis_url, **knobs) as dispatcher_driver:
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


def test_late_outcomes_of_a_probe_do_not_count(dispatcher_driver: DispatcherDriver) -> None:
    """A worker that lost its lease writes nothing, so that only the next probe decides."""
    open_breaker(dispatcher_driver)
    dispatcher_driver.ledger_driver.clock.advance(seconds=301)
    dispatcher_driver.sweep()
    first = claim_one(dispatcher_driver)
    images = dispatcher_driver.ledger_driver.claim(first)
    dispatcher_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    dispatcher_driver.ledger_driver.record(first, [build_outcome(image) for image in images])
    dispatcher_driver.sweep()
    assert causes(dispatcher_driver) == [Cause.BREAKER]
