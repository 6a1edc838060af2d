"""A search with a limit reads an index in order, and returns the first rows of the whole search."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from databases import NewSqlite
from ledger_driver import LedgerDriver, SettableClock, build_arrivals
from sqlalchemy import event

from db import ledger
from db.engine import Database
from db.ledger import FurtherPrediction
from db.queries import ImageFilter, filters, images, planning
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

_DEVICES = (("Maker A", "CT1", None), ("Maker B", "DX1", "PA"), ("Maker B", "DX2", "LL"))
_SHA = "a" * 64


@pytest.fixture
def searched(ledger_driver: LedgerDriver, bundle_id: int) -> LedgerDriver:
    """Eighteen images: results of two bundles with two labels from three devices, and images without a result."""
    second = ledger_driver.register_trial_bundle()
    for number, (device, bundle) in enumerate(product(_DEVICES * 2, (bundle_id, second))):
        maker, station, view = device
        facts = Facts(manufacturer=maker, station_name=station, view_position=view, modality="DX" if view else "CT")
        score = (number * 5 % 12) / 16 + 0.25
        further = FurtherPrediction(bundle_id=second, shadow=False, label="a", score=score, scores=[score])
        ledger_driver.register(build_arrivals(1))
        ledger_driver.analyse_all(
            bundle_id=bundle,
            facts=facts,
            label="nodule" if number % 3 else "normal",
            score=score,
            scores=[1 - score, score] if bundle == bundle_id else [score],
            further=(further,) if bundle == bundle_id else (),
        )
        ledger_driver.clock.advance(minutes=1)
    for state, reason in product((State.REJECTED, State.FAILED), (Reason.TRUNCATED, Reason.TIMEOUT, Reason.EMPTY)):
        ledger_driver.register(build_arrivals(1))
        ledger_driver.analyse_all(state=state, reason=reason, content=_SHA)
    return ledger_driver


_SEARCHES: tuple[dict[str, Any], ...] = (
    {"states": ("rejected", "failed", "failed")},
    {"states": ("done", "rejected")},
    {"reasons": ("truncated", "timeout"), "states": ("rejected", "failed")},
    {"labels": ("nodule", "normal")},
    {"labels": ("nodule", "normal"), "sort": "score"},
    {"labels": ("nodule",), "min_score": 0.5},
    {"min_score": 0.4, "max_score": 0.8},
    {"min_score": 0.4, "sort": "newest"},
    {"models": ("phantom", "t")},
    {"models": ("phantom@1",), "sort": "newest"},
    {"models": ("t",), "sort": "score"},
    {"models": ("no such model",)},
    {"manufacturers": ("Maker B",)},
    {"station_names": ("CT1", "DX2"), "sort": "newest"},
    {"view_positions": ("PA", "LL"), "modalities": ("DX", "CT")},
    {"modalities": ("DX",), "sort": "suspicion"},
    {"states": ("done",), "sort": "suspicion", "labels": ("nodule",)},
    {"labels": ("nodule",), "sort": "finished"},
    {"states": ("received",)},
    {"sources": ("inbox",)},
    {"sources": ("no such source",)},
    {"sha256": _SHA},
    {"sha256": _SHA, "states": ("failed",)},
)


@pytest.mark.parametrize("few_and_wide", [(3_000, 5_000), (2, 2)], ids=["small", "as if large"])
def test_a_limit_cuts_the_search_and_changes_nothing_else(
    searched: LedgerDriver, monkeypatch: pytest.MonkeyPatch, few_and_wide: tuple[int, int]
) -> None:
    """This holds for several values of a condition, and for both ways of a search by score or time."""
    monkeypatch.setattr(planning, "_FEW_RESULTS", few_and_wide[0])
    monkeypatch.setattr(filters, "_WIDE", few_and_wide[1])
    since: dict[str, Any] = {"since": searched.clock().replace(minute=5)}
    timed: list[dict[str, Any]] = [since | {"sort": sort} for sort in ("id", "score", "suspicion", "finished")]
    for wanted in (*_SEARCHES, *timed, *(since | search for search in _SEARCHES)):
        whole = list(images(searched.database, ImageFilter(**wanted)))
        for limit in (1, 4, 100):
            assert list(images(searched.database, ImageFilter(**wanted, limit=limit))) == whole[:limit], wanted


def test_conditions_on_devices_models_and_bytes(searched: LedgerDriver) -> None:
    """Values of one condition are alternatives, conditions are combined, and a hash finds images without a result."""
    wanted: dict[str, dict[str, Any]] = {
        "maker": {"manufacturers": ("Maker B",)},
        "stations": {"station_names": ("CT1", "DX2"), "manufacturers": ("Maker A",)},
        "view": {"view_positions": ("LL",)},
        "model": {"models": ("phantom",)},
        "bytes": {"sha256": _SHA},
        "result": {"sha256": f"{1:064x}"},
    }
    found = {
        name: [image["image_id"] for image in images(searched.database, ImageFilter(**conditions))]
        for name, conditions in wanted.items()
    }

    assert found == {
        "maker": [3, 4, 5, 6, 9, 10, 11, 12],
        "stations": [1, 2, 7, 8],
        "view": [5, 6, 11, 12],
        "model": [1, 3, 5, 7, 9, 11],
        "bytes": [13, 14, 15, 16, 17, 18],
        "result": [1],
    }


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"sort": "suspicion"}, "ix_work_suspicion"),
        ({"sort": "score"}, "ix_work_score"),
        ({"sort": "finished"}, "ix_work_finished_at"),
        ({"labels": ("nodule",)}, "ix_work_label"),
        ({"labels": ("nodule",), "sort": "score"}, "ix_work_label"),
        ({"states": ("done",), "sort": "suspicion"}, "ix_work_suspicion"),
        ({"sources": ("inbox",)}, "sqlite_autoindex_instances_1"),
        ({"sha256": _SHA}, "ix_instances_unowned"),
        ({"states": ("rejected", "failed")}, "ix_work_outcome"),
        *(
            (wanted, "occurrences")
            for wanted in (
                {"models": ("phantom",)},
                {"manufacturers": ("Maker",)},
                {"station_names": ("CT1",)},
                {"view_positions": ("PA",), "sort": "newest"},
            )
        ),
    ],
)
def test_an_index_leads_each_search(
    new_sqlite: NewSqlite, tmp_path: Path, clock: SettableClock, wanted: dict[str, Any], index: str
) -> None:
    """SQLite plans without statistics, so an empty database shows the plan of a large one."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        known = {"name": "phantom", "version": "1", "digest": "d" * 64, "labels": ["a"], "normal_label": None}
        ledger.register_bundle(database, now=clock(), **known)  # type: ignore[arg-type]
        plan = _plan(database, ImageFilter(**wanted, limit=100))

    assert any(f"INDEX {index} " in f"{step} " or f"SEARCH {index} USING" in step for step in plan), plan
    assert not any(step.startswith("SCAN work") or step == "SCAN instances" for step in plan), plan


def _plan(database: Database, wanted: ImageFilter) -> list[str]:
    """Return the steps of the last statement of the search."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(database.reader, "before_cursor_execute", note)
    list(images(database, wanted))
    event.remove(database.reader, "before_cursor_execute", note)
    statement, parameters = asked[-1]
    with database.read() as connection:
        return [step for *_, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
