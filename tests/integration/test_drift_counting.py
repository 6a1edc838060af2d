"""Which results a night counts, by several processes at once, and by which index they are found."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from databases import NewSqlite
from drift_nights import NIGHTS, evening_of, fill_night
from ledger_driver import LedgerDriver, build_outcome
from sqlalchemy import event

from db import ledger
from db.alarms.model_ranges import ModelRanges
from db.drift import nights as drift_nights
from db.drift.comparison import night_drift, refresh_night
from db.drift.nights import kept_night
from db.drift.results import BinnedResults


def test_a_rerun_does_not_count(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Its images may be of any night."""
    trial = ledger_driver.register_trial_bundle()
    fill_night(ledger_driver, bundle_id, evening_of(0), images=60)
    database, now = ledger_driver.database, ledger_driver.clock()
    ids = [row.id for row in ledger_driver.instances()]
    assert ledger.plan_rerun(database, ids, [trial], shadow=False, actor="ann", now=now).added == 60
    for batch in ledger_driver.form():
        outcomes = [build_outcome(image, label="a", scores=[0.5]) for image in ledger_driver.claim(batch)]
        ledger.record_rerun(database, batch.id, outcomes, seconds={}, release="test", now=now)
    refresh_night(database, NIGHTS, evening_of(0))
    assert [(each.bundle.name, each.images) for each in night_drift(database, evening_of(0))] == [("phantom", 60)]


def test_bundles_that_record_at_the_same_moment_are_told_apart(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Their results come from the database as one text; one has labels that the other lacks."""
    trial = ledger_driver.register_trial_bundle(["nodule", "fracture"])
    for bundle, images in ((bundle_id, 60), (trial, 70)):
        fill_night(ledger_driver, bundle, evening_of(0), images=images)
    refresh_night(ledger_driver.database, NIGHTS, evening_of(0))
    night = kept_night(ledger_driver.database, evening_of(0))
    assert {which: sum(int(counts["label"].sum()) for counts in night[which].values()) for which in night} == {
        bundle_id: 60,
        trial: 70,
    }
    assert all("score of fracture" in counts for counts in night[trial].values())
    assert not any("score of fracture" in counts for counts in night[bundle_id].values())


def test_two_watchdogs_count_a_night_at_once(
    ledger_driver: LedgerDriver, bundle_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the results before either writes; the night has them once."""
    fill_night(ledger_driver, bundle_id, evening_of(0), images=60)
    both, read = Barrier(2, timeout=30), drift_nights.binned_results

    def read_together(*arguments: object, **named: object) -> list[BinnedResults]:
        found = list(read(*arguments, **named))  # type: ignore[arg-type]
        both.wait()
        return found

    monkeypatch.setattr(drift_nights, "binned_results", read_together)
    with ThreadPoolExecutor(2) as pool:
        counted = [
            pool.submit(drift_nights.keep_night, ledger_driver.database, NIGHTS, evening_of(0)) for _ in range(2)
        ]
    assert [each.result() for each in counted] == [None, None]
    assert [each.images for each in night_drift(ledger_driver.database, evening_of(0))] == [60]


def test_the_range_of_times_leads_the_search_of_a_night(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """Also for the alarm `model_range`, which reads fifteen nights; otherwise each would read all results."""
    plans: list[str] = []
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:

        def explain(connection, _cursor, statement, parameters, _context, _many) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            cursor = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(step for *_, step in cursor if "work" in step)

        event.listen(database.reader, "before_cursor_execute", explain)
        list(ModelRanges(NIGHTS).findings(database, NIGHTS.bounds(evening_of(0))[0]))
        refresh_night(database, NIGHTS, evening_of(0), again=True)
    assert plans
    assert {plan for plan in plans if "ix_work_finished_at" not in plan} == set()
