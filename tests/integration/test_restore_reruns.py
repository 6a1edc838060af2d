"""A backup holds results of series and re-runs; after a restore they are the same, and the re-run goes on."""

from pathlib import Path
from typing import Any

import pytest
from backup_site import Site, backup_of, nightread, rows_of
from full_night import rows_by_table, tables_of
from ledger_driver import LedgerDriver, build_outcome
from series_driver import SeriesDriver
from sqlalchemy import select

from db import ledger, queries
from db.engine import Database
from db.ledger import RERUN
from db.queries.waiting_reruns import waiting_reruns
from db.tables import UNFINISHED, State, audit, work
from nightread.reasons import Reason

CHANGED = {"workers", "heartbeats", "batches", "work", "audit"}
"""Tables that a restore changes: the processes are lost, their work waits again, and `audit` names the restore."""


@pytest.fixture
def formed(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A series with a result and its revision, and another one that collects slices."""
    driver = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)
    driver.record([0, 5, 10], [0.1, 0.9, 0.2])
    driver.form()
    driver.record([15], [0.95])
    driver.form()
    driver.record([0, 5], series="1.2.3.9")
    return driver


@pytest.fixture
def rerun_site(formed: SeriesDriver, site: Site) -> Site:
    """The first images were analysed again: one is done, one failed, one is being analysed, and the rest waits."""
    assert formed.results()
    driver = site.ledger_driver
    trial, images = driver.register_trial_bundle(), [row.id for row in driver.instances()][:6]
    ledger.plan_rerun(driver.database, images, [trial], shadow=True, actor="ann", now=driver.clock())
    endings: list[dict[str, Any]] = [{}, {"state": State.FAILED, "reason": Reason.TIMEOUT}]
    for batch in ledger.form_batches(driver.database, count=99, images=1, max_bytes=2**40, now=driver.clock()):
        claimed = driver.claim(batch)
        if claimed[0].rerun_bundle_id is None:
            continue
        if not endings:
            return site
        outcomes = [build_outcome(image, **endings[0]) for image in claimed]
        ledger.record_rerun(driver.database, batch.id, outcomes, seconds={}, release="1", now=driver.clock())
        endings.pop(0)
    raise AssertionError("no batch of the re-run is left that runs")


def results(database: Database) -> list[Any]:
    """Return the rows of work that are final."""
    with database.read() as connection:
        return list(connection.execute(select(work).where(work.c.state.not_in(UNFINISHED)).order_by(work.c.id)))


def unfinished(database: Database) -> list[Any]:
    """Return (image, ordinal, bundle, priority) of the rows of work without an outcome."""
    columns = (work.c.instance_id, work.c.ordinal, work.c.bundle_id, work.c.priority, work.c.shadow)
    with database.read() as connection:
        return list(connection.execute(select(*columns).where(work.c.state.in_(UNFINISHED)).order_by(work.c.id)))


def entries(database: Database) -> list[Any]:
    """Return the rows of `audit`, without those about the backup and the restore."""
    own = audit.c.action.startswith("database.")
    with database.read() as connection:
        return list(connection.execute(select(audit).where(~own).order_by(audit.c.id)))


def test_results_of_series_and_reruns_come_back(rerun_site: Site, tmp_path: Path) -> None:
    """All rows are equal but those of lost processes; the audit is clean; what was being analysed waits again."""
    database = rerun_site.ledger_driver.database
    file = backup_of(rerun_site, tmp_path)
    tables = {name: each for name, each in tables_of(database).items() if name not in CHANGED}
    before, waiting, series = rows_by_table(database, tables), waiting_reruns(database), queries.series_list(database)
    assert {"series", "series_results", "predictions"} <= {name for name, rows in before.items() if rows}
    assert [(each.waiting, each.images) for each in waiting] == [(4, 6)]

    restored = rerun_site.restore(file)

    assert restored.exit_code == 0, restored.output
    with rerun_site.new_database() as now:
        assert rows_by_table(now, tables) == before
        assert rows_of(now) == rows_of(database) | {"workers": 0, "heartbeats": 0}
        assert results(now) == results(database)
        assert unfinished(now) == unfinished(database)
        assert entries(now) == entries(database)
        assert waiting_reruns(now) == waiting
        assert list(queries.series_list(now)) == list(series)
        assert list(queries.violations(now)) == []
    place = ("--state", rerun_site.new_state, "--database-url", rerun_site.new_url)
    checked = nightread("audit", "--no-queue", "--no-folders", *place)
    assert checked.exit_code == 0, checked.output


def test_a_restored_rerun_goes_on(rerun_site: Site, tmp_path: Path) -> None:
    """Its rows are behind the arrivals still, and have their outcomes at the end."""
    file = backup_of(rerun_site, tmp_path)
    assert rerun_site.restore(file).exit_code == 0
    with rerun_site.new_database() as now:
        assert {row.priority for row in unfinished(now) if row.ordinal > 0} == {RERUN}
        driver = LedgerDriver(database=now, clock=rerun_site.ledger_driver.clock, source_id=1)
        for batch in driver.form():
            claimed = driver.claim(batch)
            outcomes = [build_outcome(image) for image in claimed]
            if claimed[0].rerun_bundle_id is None:
                driver.record(batch, outcomes)
            else:
                ledger.record_rerun(now, batch.id, outcomes, seconds={}, release="1", now=driver.clock())
        assert waiting_reruns(now) == []
        again = [row for row in results(now) if row.ordinal > 0]
        assert sorted(row.state for row in again) == [*[State.DONE] * 5, State.FAILED]
        assert list(queries.violations(now)) == []
