"""What is stored of a series that was formed, and what happens if the database refuses it."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver
from series_driver import SERIES, STUDY, SeriesDriver
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from db import ledger
from db.ledger import ClaimedSeries, FormedSeries, SeriesResult
from db.series_tables import series
from db.tables import State
from nightread.reasons import Reason

OTHER_SERIES = "1.2.3.5"
BEYOND_64_BITS = 2**70


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """Records slices of series."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def _claim(series_driver: SeriesDriver) -> list[ClaimedSeries]:
    """Claim all series that have no result, the oldest first."""
    driver = series_driver.ledger_driver
    ledger.mark_all_due(driver.database)
    return ledger.claim_series(driver.database, most=9, lease=timedelta(seconds=60), now=driver.clock())


def _formed(series_driver: SeriesDriver, claimed: ClaimedSeries, *, slices: int = 1) -> FormedSeries:
    """Return the series with a result of one stack that has this number of slices."""
    result = SeriesResult(bundle_id=series_driver.bundle_id, stack=1, label="clear", score=0.75, slices=slices)
    return FormedSeries(claimed=claimed, results=[result], patient_keys=frozenset())


def _record(series_driver: SeriesDriver, formed: Sequence[FormedSeries]) -> int:
    driver = series_driver.ledger_driver
    return ledger.record_series(driver.database, formed, now=driver.clock())


def _states(series_driver: SeriesDriver) -> list[str]:
    """Return the states of all series, the oldest first."""
    with series_driver.ledger_driver.database.read() as connection:
        return list(connection.execute(select(series.c.state).order_by(series.c.id)).scalars())


def test_a_value_that_the_database_refuses_is_a_failed_attempt_of_its_own_series(series_driver: SeriesDriver) -> None:
    """The other series of the same commit is recorded."""
    series_driver.record([0])
    series_driver.record([0], series=OTHER_SERIES)
    refused, good = _claim(series_driver)
    formed = [_formed(series_driver, refused, slices=BEYOND_64_BITS), _formed(series_driver, good)]

    assert _record(series_driver, formed) == 1

    assert _states(series_driver) == ["collecting", "formed"]
    labels = {each.series_instance_uid: each.label for each in series_driver.results()}
    assert labels == {SERIES: None, OTHER_SERIES: "clear"}


def test_any_other_error_of_the_database_is_no_failed_attempt(series_driver: SeriesDriver) -> None:
    """The caller tries again, and the series stays claimed."""
    series_driver.record([0])
    (claimed,) = _claim(series_driver)
    database = series_driver.ledger_driver.database
    database.write(lambda connection: connection.execute(text("ALTER TABLE series_results RENAME TO away")))

    with pytest.raises(DBAPIError, match="series_results"):
        _record(series_driver, [_formed(series_driver, claimed)])
    assert _states(series_driver) == ["forming"]

    database.write(lambda connection: connection.execute(text("ALTER TABLE away RENAME TO series_results")))
    assert _record(series_driver, [_formed(series_driver, claimed)]) == 1


def test_a_stored_result_stays_while_slices_are_released(series_driver: SeriesDriver) -> None:
    """It is replaced only when the series is formed with them."""
    driver = series_driver.ledger_driver
    (first,) = series_driver.record([0])
    (claimed,) = _claim(series_driver)
    assert _record(series_driver, [_formed(series_driver, claimed)]) == 1
    later = driver.clock() + timedelta(minutes=5)
    (waiting,) = series_driver.record(
        [5], content="b" * 64, state=State.RECEIVED, reason=Reason.AWAITING_SERIES, uncounted=True, not_before=later
    )
    (again,) = _claim(series_driver)
    order = {"stacks": [[[first, 0], [waiting, 0]]], "left_out": {}}
    release = FormedSeries(
        claimed=again, results=None, patient_keys=frozenset(), released=[waiting], stored_order=order
    )

    assert _record(series_driver, [release]) == 1

    (result,) = series_driver.results()
    assert (result.study_instance_uid, result.label, result.revision) == (STUDY, "clear", 1)
    assert [(row.state, row.reason) for row in driver.work()] == [("done", None), ("received", None)]


def test_a_result_is_complete_and_the_answer_unless_it_says_otherwise(series_driver: SeriesDriver) -> None:
    """It names no missing slice, and no bundle in trial."""
    series_driver.record([0])
    (claimed,) = _claim(series_driver)
    _record(series_driver, [_formed(series_driver, claimed)])

    (result,) = series_driver.results()
    assert (result.partial, result.shadow) == (False, False)
