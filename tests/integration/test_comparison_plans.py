"""Comparisons and counts of re-runs read the rows that they are about, however many nights the database holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ledger_driver import LedgerDriver
from sqlalchemy import event, insert, select, text

from db import queries
from db.engine import Database
from db.tables import State, instances, work

_IMAGES = 20_000
_NIGHT = 100
"""Few enough of all that the planner of PostgreSQL, which knows how many rows there are, prefers the index."""


def _fill(driver: LedgerDriver, bundle_id: int) -> list[int]:
    """Insert finished images with a result of the bundle, and all but the last ones with one of the next bundle.

    Return the ids of the last ones.
    """
    now = driver.clock()
    arrivals = [
        {
            "source_id": driver.source_id,
            "uri": str(number),
            "uri_key": f"{number:032}",
            "size": 1,
            "mtime_ns": 1,
            "arrived_at": now,
        }
        for number in range(_IMAGES)
    ]
    with driver.database.writer.begin() as connection:
        connection.execute(insert(instances), arrivals)
        ids = list(connection.execute(select(instances.c.id).order_by(instances.c.id)).scalars())
        done = {"ordinal": 0, "bundle_id": bundle_id, "state": State.DONE.value, "attempts": 1, "deaths": 0}
        kept = {**done, "expiries": 0, "priority": 0, "alone": False, "finished_at": now}
        connection.execute(insert(work), [{"instance_id": each, **kept} for each in ids])
        further = kept | {"ordinal": 1, "bundle_id": bundle_id + 1}
        connection.execute(insert(work), [{"instance_id": each, **further} for each in ids[:-_NIGHT]])
    if not driver.database.is_sqlite:
        with driver.database.writer.begin() as connection:
            connection.execute(text("ANALYZE"))
    return ids[-_NIGHT:]


@contextmanager
def _asked(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that read."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(database.reader, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(database.reader, "before_cursor_execute", note)


def _plan(database: Database, statement: str, parameters: Any) -> list[str]:
    """Return the steps of the plan, one a line."""
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.read() as connection:
        return [row[-1].strip() for row in connection.exec_driver_sql(f"{explain} {statement}", parameters)]


def test_a_comparison_reads_the_rows_of_its_images_by_their_index(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """The index is that of image and ordinal, on SQLite and on PostgreSQL; no table of images is read as a whole."""
    database = ledger_driver.database
    trial = ledger_driver.register_trial_bundle()
    night = _fill(ledger_driver, bundle_id)
    with _asked(database) as asked:
        assert queries.results_of_bundles(database, night, [bundle_id, trial]) == {bundle_id: _NIGHT}
        assert queries.compared_images(database, night, bundle_id, trial).only_first == _NIGHT
    plans = {statement: _plan(database, statement, parameters) for statement, parameters in asked}
    of_work = [plan for statement, plan in plans.items() if "FROM work" in statement]
    assert len(of_work) == 2
    index = "sqlite_autoindex_work_1 (instance_id=?" if database.is_sqlite else "uq_work_instance_id"
    for plan in of_work:
        assert any(index in step for step in plan), plan
    for plan in plans.values():
        assert not any(step.startswith(("SCAN work", "SCAN instances", "Seq Scan", "->  Seq Scan")) for step in plan)


def test_the_count_of_unfinished_reruns_reads_no_finished_row(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """A site with a model on trial has millions of further results; each status would read them."""
    database = ledger_driver.database
    trial = ledger_driver.register_trial_bundle()
    _fill(ledger_driver, bundle_id)
    with _asked(database) as asked:
        assert queries.waiting_reruns(database) == []
        assert queries.unfinished_reruns(database, [trial]) == 0
    plans = [_plan(database, statement, parameters) for statement, parameters in asked]
    assert len(plans) == 4
    for plan, index in zip(plans, ["ix_work_received", "ix_work_batch"] * 2, strict=True):
        assert any(index in step for step in plan), plan
        assert not any("ix_work_further" in step or "Seq Scan" in step for step in plan), plan
