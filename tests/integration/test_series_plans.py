"""No statement about series becomes slower as the ledger grows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import NewSqlite
from ledger_driver import LedgerDriver, SettableClock
from series_driver import STUDY, SeriesDriver
from sqlalchemy import event

from db import ledger, queries
from db.engine import Database
from db.ledger import DueCause
from db.queries import ArrivalScope

WHOLE_TABLE = re.compile(r"SCAN (work|instances|contents|predictions|batches|series|series_results)\b(?!.* INDEX)")


@pytest.fixture
def series_driver(new_sqlite: NewSqlite, tmp_path: Path, clock: SettableClock) -> Iterator[SeriesDriver]:
    """SQLite plans without statistics, so an empty ledger shows the plans of a large one."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        source = ledger.ensure_source(database, name="inbox", kind="folder", root="/", now=clock())
        driver = LedgerDriver(database=database, clock=clock, source_id=source)
        yield SeriesDriver(ledger_driver=driver, folder=tmp_path)


def test_every_statement_finds_its_rows_by_an_index(series_driver: SeriesDriver) -> None:
    """From the first slice to the purge."""
    database, clock = series_driver.ledger_driver.database, series_driver.ledger_driver.clock
    with _statements(database) as statements:
        ids = series_driver.record([0, 5, 10])
        listed = ledger.collecting_series(database, limit=9)
        ledger.mark_due(database, dict.fromkeys(listed, DueCause.QUIET))
        ledger.claim_series(database, most=1, lease=timedelta(seconds=1), now=clock())
        ledger.return_expired_series(database, now=clock.advance(seconds=2))
        series_driver.form()
        series_driver.record([15])
        series_driver.form()
        queries.study_results(database, STUDY)
        queries.has_unformed_series(database, STUDY)
        queries.unformed_series(database)
        queries.studies_with_number(database, [STUDY])
        list(queries.series_list(database, study_instance_uid=STUDY))
        list(queries.series_list(database, since=clock()))
        ledger.ensure_source(database, name="other", kind="folder", root="/other", now=clock())
        for scope in (ArrivalScope(image_ids=tuple(ids)), ArrivalScope(source_ids=(1,))):
            list(queries.series_list(database, scope=scope, limit=21))
            queries.count_failed_series(database, scope)
        queries.retriable_series(database, image_ids=ids)
        queries.retriable_series(database, since=clock())
        ledger.retry_series(database, [1], actor="ann", now=clock())
        queries.trace(database, ids)
        ledger.reset_unfinished(database, now=clock())
        ledger.purge(database, ids, cause="image", actor="ann", now=clock())
    assert len(statements) > 30
    slow = {statement: lines for statement, lines in _plans(database, statements).items() if lines}
    assert slow == {}


@contextmanager
def _statements(database: Database) -> Iterator[dict[str, Any]]:
    statements: dict[str, Any] = {}

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            statements[statement] = parameters[0] if many else parameters

    for engine in (database.writer, database.reader):
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in (database.writer, database.reader):
            event.remove(engine, "before_cursor_execute", note)


def _plans(database: Database, statements: dict[str, Any]) -> dict[str, list[str]]:
    with database.read() as connection:
        return {
            statement: [
                step
                for (_, _, _, step) in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                if WHOLE_TABLE.match(step)
            ]
            for statement, parameters in statements.items()
        }
