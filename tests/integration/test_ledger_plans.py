"""No statement of the ledger grows slower as the ledger grows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import NewSqlite
from night import LEASE, Night, SettableClock, build_arrivals
from sqlalchemy import event

from db import ledger
from db.engine import Database
from db.ledger import FramePrediction, FurtherPrediction, Hints, Members, Withdrawal
from db.queries import latest_outcomes, pauses, probe_outcomes, routes_in_force
from db.tables import State
from imaging.facts import Facts

# The partial indexes hold what is under way only, so that to read one of them whole is what it is for.
SMALL = "ix_work_received|ix_work_batch|ix_batches_open"
WHOLE_TABLE = re.compile(rf"SCAN (work|instances|contents|predictions|batches|later)\b(?!.* INDEX ({SMALL}))")


@pytest.fixture
def night_on_sqlite(new_sqlite: NewSqlite, tmp_path: Path, clock: SettableClock) -> Iterator[Night]:
    """SQLite plans by rules as long as it has no statistics, so that an empty ledger tells."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        source = ledger.ensure_source(database, name="inbox", kind="folder", root="/", now=clock())
        yield Night(database=database, clock=clock, source_id=source)


def test_every_statement_finds_its_rows_by_an_index(night_on_sqlite: Night) -> None:
    """Neither `work` nor `instances` nor the history of batches is ever read whole."""
    night = night_on_sqlite
    with _statements(night.database) as statements:
        _live_through_everything(night)

    assert len(statements) > 30
    slow = {statement: lines for statement, lines in _plans(night.database, statements).items() if lines}
    assert slow == {}


def _live_through_everything(night: Night) -> None:
    facts = Facts(sop_instance_uid="1.2.3", series_instance_uid="1.2", study_instance_uid="1.1")
    arrivals = build_arrivals(8)
    night.register(arrivals)
    night.register([replace(arrivals[0], size=5)])
    ledger.look(night.database, images=10, now=night.clock())
    first, second, third, fourth = night.form(images=2)
    bundle_id = ledger.register_bundle(
        night.database, name="n", version="1", digest="d" * 64, labels=["a"], normal_label=None, now=night.clock()
    )
    further = (
        FurtherPrediction(
            bundle_id=bundle_id, shadow=True, frames=(FramePrediction(frame=0, label="a", score=1, scores=[1]),)
        ),
    )
    hints = Hints(
        members=Members(source_id=night.source_id, arrivals=tuple(build_arrivals(2))),
        counts={"1.1": 5},
        withdrawal=Withdrawal(study_instance_uid="1.1", code="113001", sop_instance_uids=("1.2.3",)),
    )
    night.analyse(first, facts=facts, sha256="c" * 64, further=further, hints=hints)
    routes_in_force(night.database)
    ledger.known_contents(night.database, ["c" * 64])
    night.claim(second)
    ledger.renew(night.database, second.id, lease=LEASE, now=night.clock())
    ledger.give_back_predecessor(night.database, night.process, now=night.clock())
    night.claim(third)
    night.clock.advance(seconds=61)
    ledger.return_expired(night.database, now=night.clock())
    ledger.return_overtaken(night.database, now=night.clock())
    ledger.return_batches(night.database, ledger.open_batches(night.database), now=night.clock())
    for batch in night.form(count=1):
        ledger.return_unpublished(night.database, batch.id, now=night.clock())
    night.analyse_all(state=State.RECEIVED, size=7, mtime_ns=7)
    _live_through_a_pause(night)
    night.claim(fourth)
    ledger.reset_unfinished(night.database, now=night.clock())


def _live_through_a_pause(night: Night) -> None:
    for _ in range(2):
        latest_outcomes(night.database, at_most=100, since=night.clock() - timedelta(hours=1), now=night.clock())
        ledger.pause(night.database, ledger.Cause.BREAKER, detail="", now=night.clock())
        for batch in ledger.form_batches(
            night.database, count=1, images=16, max_bytes=1, now=night.clock(), batch_filter=ledger.BatchFilter.UNTRIED
        ):
            ledger.note_probe(night.database, batch.id, now=night.clock())
        (pause,) = pauses(night.database)
        probe_outcomes(night.database, pause)
        ledger.forget_probe(night.database)
        ledger.end_pauses(night.database, now=night.clock())
    minute = timedelta(seconds=60)
    for days in (0, 1):
        ledger.bring_back(night.database, lease=LEASE, longest_wait=minute, now=night.clock() - timedelta(days=days))


@contextmanager
def _statements(database: Database) -> Iterator[dict[str, Any]]:
    seen: dict[str, Any] = {}

    def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE")):
            seen.setdefault(statement, parameters[0] if many else parameters)

    for engine in (database.writer, database.reader):
        event.listen(engine, "before_cursor_execute", remember)
    yield seen
    for engine in (database.writer, database.reader):
        event.remove(engine, "before_cursor_execute", remember)


def _plans(database: Database, statements: dict[str, Any]) -> dict[str, list[str]]:
    """The steps of each statement that read a whole table.

    SQLite lists the check of foreign keys with INSERT too; it runs for a violation that is still open only.
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
