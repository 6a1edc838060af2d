"""Bad images of one source pause that source only; failures of the machine or the model pause all."""

from collections.abc import Iterator
from typing import Any

import pytest
from dispatcher_driver import DispatcherDriver, open_dispatcher
from ledger_driver import LedgerDriver, build_arrivals

from db import ledger, queries
from db.ledger import Batch, Cause
from db.tables import State
from nightread.reasons import Reason

DEFECTIVE: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.BAD_HEADER}
FAULTY: dict[str, Any] = {"state": State.FAILED, "reason": Reason.INTERNAL_ERROR}
AWAY: dict[str, Any] = {"state": State.FAILED, "reason": Reason.STORE_UNAVAILABLE}


@pytest.fixture
def dispatcher_driver(ledger_driver: LedgerDriver, redis_url: str) -> Iterator[DispatcherDriver]:
    """A dispatcher that decides on ten outcomes."""
    with open_dispatcher(ledger_driver, redis_url, breaker_images=10, breaker_probe_seconds=300) as dispatcher_driver:
        dispatcher_driver.heartbeat(slots=2)
        yield dispatcher_driver


@pytest.fixture
def other_source(ledger_driver: LedgerDriver) -> int:
    """A second source, beside that of the driver."""
    return ledger.ensure_source(
        ledger_driver.database, name="other", kind="receiver", root="/other", now=ledger_driver.clock()
    )


def finish(driver: DispatcherDriver, number: int, source_id: int, **fields: Any) -> None:
    """Analyse this number of images of a source with the same outcome, and decide."""
    driver.ledger_driver.register(build_arrivals(number), source_id=source_id)
    driver.ledger_driver.analyse_all(**fields)
    driver.ledger_driver.clock.advance(seconds=1)
    driver.sweep()


def held(driver: DispatcherDriver) -> list[tuple[Cause, str | None]]:
    return [(pause.cause, pause.source) for pause in queries.pauses(driver.ledger_driver.database)]


def sources_in_queue(driver: DispatcherDriver) -> set[int]:
    """Return the sources of all images in published batches."""
    sources = {row.id: row.source_id for row in driver.ledger_driver.instances()}
    queued = set(driver.batches())
    return {sources[row.instance_id] for row in driver.ledger_driver.work() if row.batch_id in queued}


def test_a_source_with_defective_images_does_not_stop_another(
    dispatcher_driver: DispatcherDriver, other_source: int
) -> None:
    """Ten bad headers from one sender: its images wait, those of the other source are sent."""
    driver = dispatcher_driver.ledger_driver
    finish(dispatcher_driver, 10, other_source, **DEFECTIVE)
    driver.register(build_arrivals(8), source_id=other_source)
    driver.register(build_arrivals(8))
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.dispatch_all()
    assert held(dispatcher_driver) == [(Cause.BREAKER, "other")]
    assert sources_in_queue(dispatcher_driver) == {driver.source_id}
    assert sorted(driver.states()[10:]) == ["queued"] * 8 + ["received"] * 8


def test_good_images_of_another_source_do_not_hide_the_bad_ones(
    dispatcher_driver: DispatcherDriver, other_source: int
) -> None:
    """Of the latest twenty images in all, half are bad; of the source, all are."""
    for _ in range(2):
        finish(dispatcher_driver, 5, other_source, **DEFECTIVE)
        finish(dispatcher_driver, 6, dispatcher_driver.ledger_driver.source_id)
    assert held(dispatcher_driver) == [(Cause.BREAKER, "other")]


def test_failures_of_two_sources_pause_all(dispatcher_driver: DispatcherDriver, other_source: int) -> None:
    """Both sources meet the same fault of nightread: it is not theirs."""
    driver = dispatcher_driver.ledger_driver
    finish(dispatcher_driver, 5, other_source, **FAULTY)
    finish(dispatcher_driver, 5, driver.source_id, **FAULTY)
    assert held(dispatcher_driver) == [(Cause.BREAKER, None)]
    driver.register(build_arrivals(8))
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.sweep()
    assert dispatcher_driver.batches() == []
    (pause,) = queries.pauses(driver.database)
    assert pause.detail == (
        "10 of the latest 10 images failed, from several sources, most often with the reason internal_error."
    )


def test_failures_of_one_source_pause_that_source(dispatcher_driver: DispatcherDriver, other_source: int) -> None:
    """One sender's images kill the workers, and those of the other are good."""
    finish(dispatcher_driver, 10, dispatcher_driver.ledger_driver.source_id)
    finish(dispatcher_driver, 10, other_source, **FAULTY)
    assert held(dispatcher_driver) == [(Cause.BREAKER, "other")]


def test_two_stores_that_are_away_are_paused_each(dispatcher_driver: DispatcherDriver, other_source: int) -> None:
    """The stores are at fault, so a third source would go on."""
    finish(dispatcher_driver, 10, other_source, **AWAY)
    finish(dispatcher_driver, 10, dispatcher_driver.ledger_driver.source_id, **AWAY)
    assert [(cause, source is not None) for cause, source in held(dispatcher_driver)] == [(Cause.BREAKER, True)] * 2


def test_a_good_probe_of_a_source_ends_its_pause_only(dispatcher_driver: DispatcherDriver, other_source: int) -> None:
    """Both sources are paused. The probe of each has images of this source alone."""
    driver = dispatcher_driver.ledger_driver
    finish(dispatcher_driver, 10, other_source, **DEFECTIVE)
    finish(dispatcher_driver, 10, driver.source_id, **DEFECTIVE)
    driver.register(build_arrivals(20), source_id=other_source)
    driver.clock.advance(seconds=301)
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.sweep()
    (probe,) = dispatcher_driver.batches()
    assert sources_in_queue(dispatcher_driver) == {other_source}
    dispatcher_driver.lose_messages()
    driver.analyse(Batch(id=probe, images=16))
    dispatcher_driver.sweep()
    assert [source for _, source in held(dispatcher_driver)] != ["other"]
    assert len(held(dispatcher_driver)) == 1


def test_during_a_pause_of_all_no_source_is_probed(dispatcher_driver: DispatcherDriver, other_source: int) -> None:
    """A person paused dispatch: not one batch is sent."""
    driver = dispatcher_driver.ledger_driver
    finish(dispatcher_driver, 10, other_source, **DEFECTIVE)
    ledger.pause(driver.database, Cause.PERSON, detail="", actor="anna", now=driver.clock())
    driver.register(build_arrivals(8), source_id=other_source)
    driver.clock.advance(seconds=301)
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.sweep()
    assert dispatcher_driver.batches() == []


def test_a_source_that_a_person_paused_is_not_probed(dispatcher_driver: DispatcherDriver, other_source: int) -> None:
    """Whether the circuit breaker paused it as well or not; the images of others go on."""
    driver = dispatcher_driver.ledger_driver
    finish(dispatcher_driver, 10, other_source, **DEFECTIVE)
    by_anna = {"detail": "", "actor": "anna", "now": driver.clock(), "source_id": other_source}
    ledger.pause(driver.database, Cause.PERSON, **by_anna)
    driver.register(build_arrivals(8), source_id=other_source)
    driver.register(build_arrivals(8))
    dispatcher_driver.heartbeat(slots=2)
    for _ in range(2):
        driver.clock.advance(seconds=301)
        dispatcher_driver.heartbeat(slots=2)
        dispatcher_driver.sweep()
        assert sources_in_queue(dispatcher_driver) == {driver.source_id}
        ledger.end_pauses(driver.database, [Cause.BREAKER], now=driver.clock())
    assert held(dispatcher_driver) == [(Cause.PERSON, "other")]


def test_after_its_pause_a_source_counts_from_zero(dispatcher_driver: DispatcherDriver, other_source: int) -> None:
    """The outcomes that caused the pause do not cause the next one, and the other source keeps its own."""
    driver = dispatcher_driver.ledger_driver
    finish(dispatcher_driver, 9, driver.source_id, **DEFECTIVE)
    finish(dispatcher_driver, 10, other_source, **DEFECTIVE)
    ledger.end_pauses(driver.database, actor="anna", now=driver.clock())
    dispatcher_driver.sweep()
    assert held(dispatcher_driver) == []
    finish(dispatcher_driver, 1, driver.source_id, **DEFECTIVE)
    assert len(held(dispatcher_driver)) == 1


def test_a_pause_of_a_source_and_one_of_all_may_be_in_force(ledger_driver: LedgerDriver, other_source: int) -> None:
    """There is one of each kind at most."""
    begin = {"detail": "", "now": ledger_driver.clock()}
    made = [
        ledger.pause(ledger_driver.database, Cause.BREAKER, source_id=source_id, **begin)
        for source_id in (None, other_source, ledger_driver.source_id, None, other_source)
    ]
    assert made == [True, True, True, False, False]


def test_the_forecast_leaves_out_the_images_that_a_pause_holds(ledger_driver: LedgerDriver, other_source: int) -> None:
    """They are counted, and the other images have an end."""
    ledger_driver.register(build_arrivals(5), source_id=other_source)
    ledger_driver.register(build_arrivals(3))
    now = ledger_driver.clock()
    assert queries.held_images(ledger_driver.database, [], now=now) == 0
    assert queries.held_images(ledger_driver.database, [other_source], now=now) == 5
