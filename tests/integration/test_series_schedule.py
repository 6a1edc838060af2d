"""The dispatcher decides when a series is due, and asks workers to form it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from dispatcher_driver import DispatcherDriver, open_dispatcher
from ledger_driver import LedgerDriver
from series_driver import STUDY, SeriesDriver

from db import ledger
from db.ledger import CollectingSeries, DueCause, Expected
from db.tables import State
from nightread.contract import FORM_SERIES_TASK
from nightread.reasons import Reason
from producer.dispatcher.series_schedule import DueRules


@pytest.fixture
def dispatcher_driver(ledger_driver: LedgerDriver, redis_url: str) -> Iterator[DispatcherDriver]:
    """A dispatcher at ten in the evening, between a database and a Redis."""
    with open_dispatcher(ledger_driver, redis_url, time_zone="UTC") as driver:
        yield driver


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """Series in the same database."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def tasks(driver: DispatcherDriver) -> list[str]:
    """Return the tasks of the messages in the queue."""
    return [message["headers"]["task"] for message in driver.messages()]


def causes(driver: SeriesDriver) -> list[str]:
    """Return why the series that are due are due."""
    database, clock = driver.ledger_driver.database, driver.ledger_driver.clock
    return [each.cause for each in ledger.claim_series(database, most=9, lease=timedelta(seconds=1), now=clock())]


def expect(driver: SeriesDriver, images: int) -> None:
    """Let a store report the number of images of the study."""
    known = driver.ledger_driver
    row = Expected(study_instance_uid=STUDY, source_id=known.source_id, reported_by="store", images=images)
    ledger.expect(known.database, [row], now=known.clock())


def test_a_quiet_series_is_formed(dispatcher_driver: DispatcherDriver, series_driver: SeriesDriver) -> None:
    """Its number of images is unknown; a message asks for it once, however often the dispatcher looks."""
    series_driver.record([0, 5])
    dispatcher_driver.sweep()
    assert tasks(dispatcher_driver) == []
    series_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    dispatcher_driver.sweep()
    assert tasks(dispatcher_driver) == [FORM_SERIES_TASK]
    assert causes(series_driver) == [DueCause.QUIET]


def test_a_lost_message_is_sent_again(dispatcher_driver: DispatcherDriver, series_driver: SeriesDriver) -> None:
    """Redis may forget everything."""
    series_driver.record([0, 5])
    series_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    dispatcher_driver.lose_messages()
    dispatcher_driver.sweep()
    assert tasks(dispatcher_driver) == [FORM_SERIES_TASK]


def test_a_complete_study_needs_no_quiet_time(dispatcher_driver: DispatcherDriver, series_driver: SeriesDriver) -> None:
    """All of its images have an outcome."""
    expect(series_driver, 3)
    series_driver.record([0, 5])
    dispatcher_driver.sweep()
    assert causes(series_driver) == []
    series_driver.ledger_driver.clock.advance(seconds=1)
    series_driver.record([10])
    dispatcher_driver.sweep()
    assert causes(series_driver) == [DueCause.COMPLETE]


def test_a_complete_study_whose_slices_wait_for_their_order_needs_no_quiet_time(
    dispatcher_driver: DispatcherDriver, series_driver: SeriesDriver
) -> None:
    """No further image comes, so the order can be made at once."""
    expect(series_driver, 2)
    later = series_driver.ledger_driver.clock() + timedelta(minutes=5)
    for place in (0, 5):
        series_driver.record(
            [place],
            content=f"{place:064x}",
            state=State.RECEIVED,
            reason=Reason.AWAITING_SERIES,
            uncounted=True,
            not_before=later,
        )
    dispatcher_driver.sweep()
    assert causes(series_driver) == [DueCause.COMPLETE]


def test_a_study_that_misses_images_waits_longer(
    dispatcher_driver: DispatcherDriver, series_driver: SeriesDriver
) -> None:
    """Its series are formed in the end, and are partial."""
    expect(series_driver, 3)
    series_driver.record([0, 5])
    series_driver.ledger_driver.clock.advance(seconds=61)
    dispatcher_driver.sweep()
    assert causes(series_driver) == []
    series_driver.ledger_driver.clock.advance(seconds=900)
    dispatcher_driver.sweep()
    assert causes(series_driver) == [DueCause.WAITED]


def test_at_the_end_of_the_night_every_series_is_formed(series_driver: SeriesDriver) -> None:
    """A series that began after it waits as usual."""
    now = series_driver.ledger_driver.clock()
    rules = DueRules(quiet=timedelta(minutes=1), wait=timedelta(minutes=15), deadline=now)
    before = CollectingSeries(1, STUDY, now - timedelta(seconds=5), now)
    after = CollectingSeries(2, STUDY, now, now)
    assert rules.cause(before, is_complete=False, has_number=True, now=now) is DueCause.DEADLINE
    assert rules.cause(after, is_complete=False, has_number=True, now=now) is None


def test_a_slice_between_listing_and_marking_keeps_the_series_collecting(series_driver: SeriesDriver) -> None:
    """It is due later."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5])
    (listed,) = ledger.collecting_series(driver.database, limit=9)
    driver.clock.advance(seconds=1)
    series_driver.record([10])
    assert ledger.mark_due(driver.database, {listed: DueCause.QUIET}) == 0
    assert ledger.waiting_series(driver.database) == 0
