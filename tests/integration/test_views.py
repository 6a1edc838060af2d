"""The views show what `query` shows, on both databases, and a role for reports can read nothing else."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from servers import PostgresServer
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from cli.night_calendar import keep_night_calendar, night_calendar
from db import ledger, queries
from db.engine import Database, open_database
from db.ledger import FurtherPrediction
from db.readers import VIEWS, grant_readers
from db.tables import State
from imaging.facts import Facts
from nightread.errors import UsageFault
from nightread.nights import Nights
from nightread.reasons import Fault, Reason
from nightread.settings import load_settings

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "sql.md"
_QUIET = datetime(2026, 11, 6, 12, tzinfo=UTC)


@pytest.fixture
def analysed(ledger_driver: LedgerDriver, bundle_id: int) -> LedgerDriver:
    """Two results of which one has a further result on trial, a duplicate, a rejected, a failed and a waiting image."""
    trial = ledger_driver.register_trial_bundle()
    facts = Facts(
        study_instance_uid="1.1",
        series_instance_uid="1.2",
        sop_instance_uid="1.3",
        modality="DX",
        study_date="20261105",
        view_position="PA",
        laterality="L",
        manufacturer="Maker",
        station_name="ROOM1",
        patient_sex="F",
        age_band="40-49",
        patient_key="p" * 64,
    )
    further = FurtherPrediction(bundle_id=trial, shadow=True, label="a", score=0.5, scores=[0.5])
    others = Facts(study_instance_uid="1.1", sop_instance_uid="1.4")
    outcomes: list[dict[str, Any]] = [
        {
            "facts": facts,
            "content": "1" * 64,
            "label": "nodule",
            "scores": [0.25, 0.75],
            "further": (further,),
        },
        {"facts": others, "content": "blake3:" + "2" * 64, "remarks": "voi_not_used", "detail": "A."},
        {"content": "1" * 64, "state": State.DONE},
        {"state": State.REJECTED, "reason": Reason.TRUNCATED},
        {"state": State.FAILED, "reason": Reason.TIMEOUT},
    ]
    for outcome in outcomes:
        ledger_driver.register(build_arrivals(1))
        ledger_driver.analyse_all(bundle_id=None if "reason" in outcome else bundle_id, **outcome)
        ledger_driver.clock.advance(minutes=1)
    ledger_driver.clock.advance(hours=12)
    ledger_driver.register(build_arrivals(1))
    return ledger_driver


_NOT_IN_SQL = {"contested_by"}
"""Its sentence follows members of archives to who sent the archive; `conflict_with` leads to the other image."""


def test_results_are_those_of_query(analysed: LedgerDriver) -> None:
    """Names, their order and all values are the same; the further result on trial is left out."""
    expected = list(queries.images(analysed.database))
    rows = _rows(analysed.database, "SELECT * FROM v_results ORDER BY image_id")

    assert len(expected) == 6
    assert tuple(rows[0]) == (
        *(name for name in queries.COLUMNS if name not in {*_NOT_IN_SQL, "content"}),
        *("night", "content"),  # a view of PostgreSQL gets new columns at its end only
    )
    assert [_as_query(row) for row in rows] == [
        {name: value for name, value in row.items() if name not in _NOT_IN_SQL} for row in expected
    ]


def test_studies_are_those_of_query(analysed: LedgerDriver) -> None:
    """A study without a known number is quiet after a while; one that was only announced is listed too."""
    ledger.expect(analysed.database, [_expected(analysed, "1.1", 3), _expected(analysed, "2.1", 1)], now=_QUIET)
    expected = [asdict(study) for study in queries.studies(analysed.database, now=datetime.now(UTC))]

    rows = _rows(analysed.database, "SELECT * FROM v_studies ORDER BY study_instance_uid")

    assert [row["completeness"] for row in rows] == ["incomplete", "incomplete"]
    assert tuple(rows[0]) == tuple(expected[0])
    assert [_with_times(row, "first_arrival", "last_arrival") for row in rows] == sorted(
        expected, key=lambda study: study["study_instance_uid"]
    )


def test_each_reason_counts_in_the_view_as_in_query(ledger_driver: LedgerDriver) -> None:
    """If this fails, a reason was added or changed: a new migration must create v_studies again."""
    for number, reason in enumerate(Reason):
        ledger_driver.register(build_arrivals(1))
        facts = Facts(study_instance_uid=f"1.{number}", sop_instance_uid=f"2.{number}")
        state = State.FAILED if reason.fault is Fault.FAILED else State.REJECTED
        ledger_driver.analyse_all(state=state, reason=reason, facts=facts, content=f"{number:064x}")
    expected = {s.study_instance_uid: s.no_result for s in queries.studies(ledger_driver.database, now=_QUIET)}

    rows = _rows(ledger_driver.database, "SELECT study_instance_uid, no_result FROM v_studies")

    assert {row["study_instance_uid"]: row["no_result"] for row in rows} == expected
    assert set(expected.values()) == {0, 1}


def test_nights_are_those_of_the_site(analysed: LedgerDriver) -> None:
    """The first five images came at 23:00 of the evening, the last one by day: no night counts it."""
    nights = Nights(start=time(18), end=time(7), zone=ZoneInfo("Europe/Berlin"))
    first = datetime(2026, 11, 5, tzinfo=UTC)
    calendar = list(night_calendar(nights, first, first + timedelta(days=30)))
    assert ledger.set_nights(analysed.database, calendar)
    assert not ledger.set_nights(analysed.database, calendar)
    analysed.clock.advance(hours=10)
    analysed.register(build_arrivals(1))

    found = _rows(analysed.database, "SELECT * FROM v_nights ORDER BY night")

    assert [(row["night"], row["arrived"]) for row in found] == [("2026-11-05", 5), ("2026-11-06", 1)]
    states = {name: found[0][name] for name in queries.tally(analysed.database).to_json() if name != "arrived"}
    assert {name: number for name, number in states.items() if number} == {
        "done": 2,
        "duplicate": 1,
        "rejected": 1,
        "failed": 1,
    }
    assert _with_times(found[0], "began_at")["began_at"] == datetime(2026, 11, 5, 17, tzinfo=UTC)
    nights_of_images = _rows(analysed.database, "SELECT night FROM v_results ORDER BY image_id")
    assert [row["night"] for row in nights_of_images] == ["2026-11-05"] * 5 + [None, "2026-11-06"]


def test_the_images_of_a_night_are_found_by_their_time(analysed: LedgerDriver) -> None:
    """SQLite would otherwise compare each image with a thousand nights."""
    if analysed.database.is_sqlite:
        plan = [step["detail"] for step in _rows(analysed.database, "EXPLAIN QUERY PLAN SELECT * FROM v_nights")]
        assert any(step.startswith("SEARCH instances USING COVERING INDEX ix_instances_arrived_at") for step in plan)


def test_the_dispatcher_writes_the_nights_by_the_settings(analysed: LedgerDriver) -> None:
    """The night of the first arrival is there, in the time zone of the site; another time zone replaces it."""
    bounds = {}
    for zone in ("Europe/Berlin", "America/New_York"):
        keep_night_calendar(analysed.database, load_settings(time_zone=zone))
        (row,) = _rows(analysed.database, "SELECT began_at, ended_at FROM nights WHERE evening = '2026-11-05'")
        bounds[zone] = [_with_times(row, *row)[name].day * 24 + _with_times(row, *row)[name].hour for name in row]

    assert bounds == {"Europe/Berlin": [5 * 24 + 17, 6 * 24 + 6], "America/New_York": [5 * 24 + 23, 6 * 24 + 12]}


def test_a_calendar_knows_the_change_of_the_clocks() -> None:
    """The night in which the clocks are set back is an hour longer."""
    nights = Nights(start=time(18), end=time(7), zone=ZoneInfo("Europe/Berlin"))
    first = datetime(2026, 10, 24, 12, tzinfo=UTC)

    calendar = list(night_calendar(nights, first, first + timedelta(days=1)))

    assert [(str(night.evening), night.ended_at - night.began_at) for night in calendar] == [
        ("2026-10-23", timedelta(hours=13)),
        ("2026-10-24", timedelta(hours=14)),
        ("2026-10-25", timedelta(hours=13)),
    ]


def test_batches_show_their_outcomes(analysed: LedgerDriver) -> None:
    """There is one row per batch."""
    rows = _rows(analysed.database, "SELECT * FROM v_batches ORDER BY created_at")

    assert [_loaded(row["outcomes"]) for row in rows][3:] == [{"rejected": 1}, {"failed": 1}]
    assert {row["images"] for row in rows} == {1}


def test_the_examples_of_the_documentation_run(analysed: LedgerDriver) -> None:
    """Each query in docs/sql.md is valid on both databases, unless its heading names one of them."""
    examples = re.findall(r"```sql\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)
    selects = [example for example in examples if example.startswith("SELECT")]

    assert len(selects) >= 6
    for example in selects:
        _rows(analysed.database, example)


@pytest.mark.servers
def test_a_role_for_reports_reads_the_views_and_nothing_else(postgres_server: PostgresServer) -> None:
    """The tables, which hold keyed hashes of patient numbers, are closed to it, and it cannot write."""
    role = "night's reader"
    postgres_server.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'x'")
    with postgres_server.database() as database:
        assert grant_readers(database, role)
        url = make_url(database.writer.url).set(username=role, password="x")
        reader = open_database(url.render_as_string(hide_password=False))
        for view in VIEWS:
            assert _rows(reader, f"SELECT * FROM {view}") == []  # noqa: S608 - names of this release
        for forbidden in ("SELECT * FROM instances", "SELECT * FROM truths", "DELETE FROM v_batches"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                _rows(reader, forbidden)
        reader.close()
    postgres_server.execute(f'DROP ROLE "{role}"')


def test_readers_need_an_existing_role(database: Database) -> None:
    """SQLite has no roles; on PostgreSQL the message says how to create one."""
    with pytest.raises(UsageFault, match="SQLite has no roles" if database.is_sqlite else "create it first"):
        grant_readers(database, "nobody_of_this_name")


def _rows(database: Database, statement: str) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(text(statement))]


def _as_query(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of v_results with the types of Python that `queries.images` returns."""
    values = _with_times(
        {name: row[name] for name in queries.COLUMNS if name not in _NOT_IN_SQL}, "received_at", "finished_at"
    )
    for name in ("scores", "matched"):
        values[name] = _loaded(values[name])
    return values | {"remarks": values["remarks"] and values["remarks"].split(), "shadow": bool(values["shadow"])}


def _with_times(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """Convert times; SQLite stores them as text without a time zone."""
    return row | {
        name: datetime.fromisoformat(row[name]).replace(tzinfo=UTC) if isinstance(row[name], str) else row[name]
        for name in names
    }


def _loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _expected(analysed: LedgerDriver, study: str, images: int) -> Any:
    return ledger.Expected(study_instance_uid=study, source_id=analysed.source_id, reported_by="store", images=images)
