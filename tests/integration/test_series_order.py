"""Slices that need their neighbours wait for the order of their series, and are let go with it."""

from datetime import timedelta
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver
from series_driver import SERIES, STUDY, SeriesDriver

from db import ledger, queries
from db.tables import State
from nightread.reasons import Reason
from worker.series.form import SeriesFormer


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A driver whose bundle takes the most suspicious slice."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def _waiting_slices(series_driver: SeriesDriver, places: list[float]) -> list[int]:
    """Record slices that wait for the order of their series."""
    later = series_driver.ledger_driver.clock() + timedelta(minutes=5)
    waits = {"state": State.RECEIVED, "reason": Reason.AWAITING_SERIES, "uncounted": True, "not_before": later}
    ids: list[int] = []
    for place in places:
        ids += series_driver.record([place], content=f"{int(place):064x}", **waits)
    return ids


def test_slices_that_wait_are_let_go_in_order(series_driver: SeriesDriver) -> None:
    """They are dispatched at once, and the series has no result yet."""
    driver = series_driver.ledger_driver
    ids = _waiting_slices(series_driver, [10, 0, 5])
    assert driver.form() == []
    (meanwhile,) = series_driver.form()
    assert (meanwhile.series_state, meanwhile.state) == ("formed", None)
    order = queries.series_order(driver.database, STUDY, SERIES)
    assert order.stacks == [[(ids[1], 0), (ids[2], 0), (ids[0], 0)]]
    assert {claimed.uri for claimed in order.files.values()} == {row.uri for row in driver.instances()}
    assert [batch.images for batch in driver.form()] == [3]
    assert {row.reason for row in driver.work()} == {None}


def test_a_claim_that_was_taken_back_lets_nothing_go(series_driver: SeriesDriver) -> None:
    """The slice that came meanwhile belongs into the order."""
    driver = series_driver.ledger_driver
    _waiting_slices(series_driver, [0, 5])
    ledger.mark_all_due(driver.database)
    context = series_driver.context()
    (claimed,) = ledger.claim_series(driver.database, most=9, lease=context.lease, now=driver.clock())
    formed = SeriesFormer(context).form(claimed)
    assert formed is not None
    _waiting_slices(series_driver, [10])
    assert ledger.record_series(driver.database, [formed], now=driver.clock()) == 0
    assert queries.waiting_slices(driver.database) == 3
    assert queries.series_order(driver.database, STUDY, SERIES).stacks == []


def test_versions_that_contest_each_other_have_the_same_neighbours(series_driver: SeriesDriver) -> None:
    """Each is analysed in its place, so that no sender can remove the finding of another one."""
    driver = series_driver.ledger_driver
    uid = {"sop_instance_uid": "1.2.3.4.99"}
    first, last = series_driver.record([0, 10])
    (older,) = series_driver.record([5], [0.9], facts=uid)
    driver.source_id = ledger.ensure_source(driver.database, name="b", kind="folder", root="/b", now=driver.clock())
    (newer,) = series_driver.record([5], [0.1], facts=uid)
    _waiting_slices(series_driver, [15])
    series_driver.form()
    variant, stack = queries.series_order(driver.database, STUDY, SERIES).stacks
    assert [key for key, _ in stack][:3] == [first, newer, last]
    assert [key for key, _ in variant][:3] == [first, older, last]
