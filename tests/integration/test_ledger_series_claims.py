"""Series that collect slices are marked as due, claimed, returned and removed."""

from datetime import timedelta
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver
from series_driver import STUDY, SeriesDriver
from series_rows import change, rows
from sqlalchemy import select

from db import ledger
from db.ledger import CollectingSeries, DueCause
from db.ledger.series import remove_series, return_forming_series
from db.series_tables import series_results

LEASE = timedelta(seconds=30)


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """Slices of a bundle of unit `series`."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def test_collecting_series_are_listed_in_the_order_of_their_ids(series_driver: SeriesDriver) -> None:
    """With their study and both times; series in other states are not."""
    driver = series_driver.ledger_driver
    began = driver.clock()
    series_driver.record([0], series="1.1")
    ledger.mark_all_due(driver.database)
    series_driver.record([0], series="1.2")
    series_driver.record([0], series="1.3", study="1.9")
    later = driver.clock.advance(seconds=5)
    series_driver.record([5], series="1.2")

    listed = [CollectingSeries(2, STUDY, began, later), CollectingSeries(3, "1.9", began, began)]
    assert ledger.collecting_series(driver.database, limit=9) == listed
    assert ledger.collecting_series(driver.database, limit=1) == listed[:1]


def test_series_are_due_for_their_causes(series_driver: SeriesDriver) -> None:
    """Each for its own, and a series that was not named stays as it is; so does one that changed, or is due already."""
    driver = series_driver.ledger_driver
    for uid in ("1.1", "1.2", "1.3"):
        series_driver.record([0], series=uid)
    first, second, _ = ledger.collecting_series(driver.database, limit=9)
    assert ledger.mark_due(driver.database, {}) == 0
    assert ledger.mark_due(driver.database, {first: DueCause.QUIET, second: DueCause.WAITED}) == 2
    assert ledger.mark_due(driver.database, {first: DueCause.DEADLINE}) == 0

    assert [(row.state, row.cause) for row in rows(driver)] == [
        ("due", "quiet"),
        ("due", "waited"),
        ("collecting", None),
    ]
    assert ledger.waiting_series(driver.database) == 2


def test_all_collecting_series_are_due_if_a_person_asks(series_driver: SeriesDriver) -> None:
    """A series that is due keeps its cause, and a failed one stays failed."""
    driver = series_driver.ledger_driver
    series_driver.record([0], series="1.1")
    change(driver, state="failed", attempts=3, reason="series_not_formed")
    series_driver.record([0], series="1.2")
    (listed,) = ledger.collecting_series(driver.database, limit=9)
    ledger.mark_due(driver.database, {listed: DueCause.QUIET})
    series_driver.record([0], series="1.3")

    assert ledger.mark_all_due(driver.database) == 1
    assert [(row.state, row.cause) for row in rows(driver)] == [("failed", None), ("due", "quiet"), ("due", "asked")]


def test_a_claim_takes_the_oldest_due_series(series_driver: SeriesDriver) -> None:
    """With one claim and one lease for all of them, and counts the attempt; the others stay due."""
    driver = series_driver.ledger_driver
    assert ledger.claim_series(driver.database, most=2, lease=LEASE, now=driver.clock()) == []
    for uid in ("1.1", "1.2", "1.3"):
        series_driver.record([0], series=uid)
    ledger.mark_all_due(driver.database)
    change(driver, attempts=1)
    claimed = ledger.claim_series(driver.database, most=2, lease=LEASE, now=driver.clock())

    (claim,) = {each.claim for each in claimed}
    known = [(each.id, each.series_instance_uid, each.study_instance_uid, each.cause) for each in claimed]
    assert known == [(1, "1.1", STUDY, DueCause.ASKED), (2, "1.2", STUDY, DueCause.ASKED)]
    until = driver.clock() + LEASE
    assert [(row.state, row.claim, row.lease_until, row.attempts) for row in rows(driver)] == [
        ("forming", claim, until, 2),
        ("forming", claim, until, 2),
        ("due", None, None, 1),
    ]
    (other,) = ledger.claim_series(driver.database, most=2, lease=LEASE, now=driver.clock())
    assert other.claim != claim
    assert other.id == 3


def test_series_that_are_being_formed_are_returned(series_driver: SeriesDriver) -> None:
    """They are due for the same cause, without claim and lease; a collecting series stays as it is."""
    driver = series_driver.ledger_driver
    series_driver.record([0], series="1.1")
    ledger.mark_all_due(driver.database)
    ledger.claim_series(driver.database, most=1, lease=LEASE, now=driver.clock())
    series_driver.record([0], series="1.2")
    driver.database.write(return_forming_series)

    assert [(row.state, row.cause, row.claim, row.lease_until, row.attempts) for row in rows(driver)] == [
        ("due", "asked", None, None, 1),
        ("collecting", None, None, None, 0),
    ]


def test_series_are_removed_with_their_results(series_driver: SeriesDriver) -> None:
    """Of more than 2,000 keys the first and the last count too; other series keep their results."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5], series="1.0")
    series_driver.record([0, 5], series="9.9")
    series_driver.record([0, 5], series="9.9", study="1.9")
    series_driver.form()
    keys = {(STUDY, "1.0"), *((STUDY, f"2.{number}") for number in range(2000)), (STUDY, "9.9")}

    assert driver.database.write(lambda connection: remove_series(connection, keys)) == 2
    left = rows(driver)
    assert [(row.study_instance_uid, row.series_instance_uid) for row in left] == [("1.9", "9.9")]
    with driver.database.read() as connection:
        assert connection.execute(select(series_results.c.series_id)).scalars().all() == [left[0].id]
