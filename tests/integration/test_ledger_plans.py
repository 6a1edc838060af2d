"""No statement of the ledger becomes slower as the ledger grows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import NewSqlite
from ledger_driver import LEASE, LedgerDriver, SettableClock, build_arrivals
from sqlalchemy import event

from db import ledger
from db.engine import Database
from db.ledger import Annotations, FramePrediction, FurtherPrediction, Members, Withdrawal
from db.queries import held_images, latest_outcomes, pauses, probe_outcomes, routes_in_force
from db.tables import State
from imaging.facts import Facts

# These partial indexes hold unfinished rows only, so reading one of them completely is fast.
SMALL = "ix_work_received|ix_work_batch|ix_batches_open"
WHOLE_TABLE = re.compile(rf"SCAN (work|instances|contents|predictions|batches|later)\b(?!.* INDEX ({SMALL}))")


@pytest.fixture
def driver_on_sqlite(new_sqlite: NewSqlite, tmp_path: Path, clock: SettableClock) -> Iterator[LedgerDriver]:
    """SQLite plans without statistics, so an empty ledger shows the plans of a large one."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        source = ledger.ensure_source(database, name="inbox", kind="folder", root="/", now=clock())
        yield LedgerDriver(database=database, clock=clock, source_id=source)


def test_every_statement_finds_its_rows_by_an_index(driver_on_sqlite: LedgerDriver) -> None:
    """No statement reads all of `work`, `instances` or `batches`."""
    ledger_driver = driver_on_sqlite
    with _statements(ledger_driver.database) as statements:
        _run_every_call(ledger_driver)

    assert len(statements) > 30
    slow = {statement: lines for statement, lines in _plans(ledger_driver.database, statements).items() if lines}
    assert slow == {}


def _run_every_call(ledger_driver: LedgerDriver) -> None:
    facts = Facts(sop_instance_uid="1.2.3", series_instance_uid="1.2", study_instance_uid="1.1")
    arrivals = build_arrivals(8)
    ledger_driver.register(arrivals)
    ledger_driver.register([replace(arrivals[0], size=5)])
    held = ledger.SourceFilter(held=frozenset({ledger_driver.source_id}))
    for source_filter in (ledger.ALL_SOURCES, held):
        ledger.queue_status(ledger_driver.database, images=10, now=ledger_driver.clock(), source_filter=source_filter)
    first, second, third, fourth = ledger_driver.form(images=2)
    bundle_id = ledger.register_bundle(
        ledger_driver.database,
        name="n",
        version="1",
        digest="d" * 64,
        labels=["a"],
        normal_label=None,
        now=ledger_driver.clock(),
    )
    further = (
        FurtherPrediction(
            bundle_id=bundle_id, shadow=True, frames=(FramePrediction(frame=0, label="a", score=1, scores=[1]),)
        ),
    )
    annotations = Annotations(
        members=Members(source_id=ledger_driver.source_id, arrivals=tuple(build_arrivals(2))),
        counts={"1.1": 5},
        withdrawal=Withdrawal(study_instance_uid="1.1", code="113001", sop_instance_uids=("1.2.3",)),
    )
    ledger_driver.analyse(first, facts=facts, content="c" * 64, further=further, annotations=annotations)
    routes_in_force(ledger_driver.database)
    ledger.known_contents(ledger_driver.database, ["c" * 64])
    ledger.former_contents(ledger_driver.database, ["c" * 64])
    ledger.former_uids(ledger_driver.database, ["1.2.3"])
    ledger.has_former_contents(ledger_driver.database)
    ledger_driver.claim(second)
    ledger.renew(ledger_driver.database, second.id, lease=LEASE, now=ledger_driver.clock())
    ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock())
    ledger_driver.claim(third)
    ledger_driver.clock.advance(seconds=61)
    ledger.return_expired(ledger_driver.database, now=ledger_driver.clock())
    ledger.return_overtaken(ledger_driver.database, now=ledger_driver.clock())
    ledger.return_batches(
        ledger_driver.database, ledger.open_batches(ledger_driver.database), now=ledger_driver.clock()
    )
    for batch in ledger_driver.form(count=1):
        ledger.return_unpublished(ledger_driver.database, batch.id, now=ledger_driver.clock())
    ledger_driver.analyse_all(state=State.RECEIVED, size=7, mtime_ns=7)
    _run_a_pause(ledger_driver)
    ledger_driver.claim(fourth)
    ledger.reset_unfinished(ledger_driver.database, now=ledger_driver.clock())
    now = ledger_driver.clock()
    ledger.purge_by_age(ledger_driver.database, [1], days=1, duplicates_since=now, now=now)
    ledger.purge(ledger_driver.database, [2, 3], cause="image", actor="ann", now=now)


def _run_a_pause(ledger_driver: LedgerDriver) -> None:
    for _ in range(2):
        latest_outcomes(
            ledger_driver.database,
            at_most=100,
            since=ledger_driver.clock() - timedelta(hours=1),
            now=ledger_driver.clock(),
        )
        ledger.pause(ledger_driver.database, ledger.Cause.BREAKER, detail="", now=ledger_driver.clock())
        for batch in ledger.form_batches(
            ledger_driver.database,
            count=1,
            images=16,
            max_bytes=1,
            now=ledger_driver.clock(),
            batch_filter=ledger.BatchFilter.UNTRIED,
            source_filter=ledger.SourceFilter(only=ledger_driver.source_id),
        ):
            ledger.set_probe(ledger_driver.database, ledger_driver.pause_id(), batch.id, now=ledger_driver.clock())
        (pause,) = pauses(ledger_driver.database)
        probe_outcomes(ledger_driver.database, pause)
        ledger.clear_probe(ledger_driver.database, ledger_driver.pause_id())
        held_images(ledger_driver.database, [ledger_driver.source_id], now=ledger_driver.clock())
        ledger.end_pauses(ledger_driver.database, now=ledger_driver.clock())
    minute = timedelta(seconds=60)
    for days in (0, 1):
        ledger.clamp_future_times(
            ledger_driver.database, lease=LEASE, longest_wait=minute, now=ledger_driver.clock() - timedelta(days=days)
        )


@contextmanager
def _statements(database: Database) -> Iterator[dict[str, Any]]:
    seen: dict[str, Any] = {}

    def store_statement(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE")):
            seen.setdefault(statement, parameters[0] if many else parameters)

    for engine in (database.writer, database.reader):
        event.listen(engine, "before_cursor_execute", store_statement)
    yield seen
    for engine in (database.writer, database.reader):
        event.remove(engine, "before_cursor_execute", store_statement)


def _plans(database: Database, statements: dict[str, Any]) -> dict[str, list[str]]:
    """Return the steps that read a whole table, by statement.

    SQLite also lists the foreign key check of INSERT, which it runs only for an open violation.
    """
    with database.read() as connection:
        return {
            statement: [
                step
                for (_, _, _, step) in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                if WHOLE_TABLE.match(step) and not (statement.startswith("INSERT") and step == "SCAN contents")
            ]
            for statement, parameters in statements.items()
        }
