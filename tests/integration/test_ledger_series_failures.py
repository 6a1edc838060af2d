"""A series that fails ends only slices that wait for it, and a retry takes only these up again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver
from series_driver import SERIES, STUDY, SeriesDriver
from sqlalchemy import insert, select, update

from db import ledger
from db.ledger import ClaimedSeries
from db.series_tables import series
from db.tables import State, audit, work
from nightread.reasons import Reason

OTHER_SERIES, OTHER_STUDY = "1.2.3.5", "1.2.9"
ENDED = ("failed", "series_not_formed", Reason.SERIES_NOT_FORMED.message)
WAITS = ("received", "awaiting_series", None)


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """Records slices of series."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def _wait(series_driver: SeriesDriver, content: str, *, series: str = SERIES, study: str = STUDY) -> None:
    """Record a slice that waits for the order of its series."""
    later = series_driver.ledger_driver.clock() + timedelta(minutes=5)
    fields: dict[str, Any] = {"state": State.RECEIVED, "reason": Reason.AWAITING_SERIES, "uncounted": True}
    series_driver.record([0], series=series, study=study, content=content * 64, not_before=later, **fields)


def _claim_oldest(driver: LedgerDriver) -> ClaimedSeries:
    """Claim the oldest series that has no result."""
    ledger.mark_all_due(driver.database)
    (claimed,) = ledger.claim_series(driver.database, most=1, lease=timedelta(seconds=60), now=driver.clock())
    return claimed


def _fail_oldest(driver: LedgerDriver) -> int:
    """Let all attempts to form the oldest series that has no result fail; return its id."""
    for _ in range(3):
        claimed = _claim_oldest(driver)
        assert ledger.fail_series(driver.database, claimed, error="ValueError", now=driver.clock())
    return claimed.id


def _work(driver: LedgerDriver) -> list[tuple[Any, ...]]:
    return [(row.state, row.reason, row.detail) for row in driver.work()]


def _states(series_driver: SeriesDriver) -> list[str]:
    return [each.series_state for each in series_driver.results()]


def test_a_process_whose_claim_ended_records_no_failure(series_driver: SeriesDriver) -> None:
    """Its lease expired, and another process forms the series by now."""
    driver = series_driver.ledger_driver
    series_driver.record([0])
    late = _claim_oldest(driver)
    assert ledger.return_expired_series(driver.database, now=driver.clock.advance(seconds=61)) == 1
    present = _claim_oldest(driver)

    assert not ledger.fail_series(driver.database, late, error="ValueError", now=driver.clock())
    assert _states(series_driver) == ["forming"]
    assert ledger.fail_series(driver.database, present, error="ValueError", now=driver.clock())
    assert _states(series_driver) == ["collecting"]


def test_slices_of_other_series_go_on_waiting(series_driver: SeriesDriver) -> None:
    """Also of a series with the same Series Instance UID in another study, and of another series of the study."""
    driver = series_driver.ledger_driver
    _wait(series_driver, "a")
    _wait(series_driver, "b", study=OTHER_STUDY)
    _wait(series_driver, "c", series=OTHER_SERIES)
    _fail_oldest(driver)

    assert _work(driver) == [ENDED, WAITS, WAITS]
    assert [row.finished_at for row in driver.work()] == [driver.clock(), None, None]
    assert [row.not_before is None for row in driver.work()] == [True, False, False]


def test_a_retry_takes_up_the_slices_of_its_series_as_if_they_were_new(series_driver: SeriesDriver) -> None:
    """Without earlier attempts; those of other series stay as they are, in this study and in another one."""
    driver = series_driver.ledger_driver
    _wait(series_driver, "a")
    _wait(series_driver, "b", series=OTHER_SERIES)
    _wait(series_driver, "c", study=OTHER_STUDY)
    asked, *_ = [_fail_oldest(driver) for _ in range(3)]
    counts = {"attempts": 1, "deaths": 2, "expiries": 3, "tried_since": driver.clock()}
    driver.database.write(lambda connection: connection.execute(update(work).values(**counts)))
    assert _work(driver) == [ENDED] * 3

    assert ledger.retry_series(driver.database, [asked], actor="ann", now=driver.clock()) == 1

    assert _work(driver) == [WAITS, ENDED, ENDED]
    first, *others = driver.work()
    assert (first.attempts, first.deaths, first.expiries, first.tried_since) == (0, 0, 0, None)
    assert [row.finished_at for row in driver.work()] == [None, driver.clock(), driver.clock()]
    assert {(row.attempts, row.deaths, row.expiries) for row in others} == {(1, 2, 3)}


def test_a_retry_of_many_series_writes_one_row_of_audit_per_thousand(ledger_driver: LedgerDriver) -> None:
    """Each has the ids and reasons of its own series."""
    now = ledger_driver.clock()
    failed = {"state": "failed", "reason": "killed_worker", "began_at": now, "changed_at": now, "attempts": 3}
    rows = [{"study_instance_uid": f"1.{n}", "series_instance_uid": f"1.{n}.1", **failed} for n in range(1001)]
    ledger_driver.database.write(lambda connection: connection.execute(insert(series), rows))
    with ledger_driver.database.read() as connection:
        ids = connection.execute(select(series.c.id).order_by(series.c.id)).scalars().all()

    assert ledger.retry_series(ledger_driver.database, ids, actor="ann", now=now) == 1001

    with ledger_driver.database.read() as connection:
        details = connection.execute(select(audit.c.detail).order_by(audit.c.id)).scalars().all()
    assert [len(each["series"]) for each in details] == [1000, 1]
    assert details[1] == {"series": [[ids[1000], "killed_worker"]]}


def test_an_embedded_start_lets_a_series_be_formed_by_another_process(series_driver: SeriesDriver) -> None:
    """The process that formed it has stopped."""
    driver = series_driver.ledger_driver
    series_driver.record([0])
    before = _claim_oldest(driver)

    ledger.reset_unfinished(driver.database, now=driver.clock())

    assert _states(series_driver) == ["due"]
    assert _claim_oldest(driver).id == before.id
