"""Fill a ledger as a night does: work in each state, further results, studies, reports and what people decided."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import MetaData, Table, select

from db import ledger
from db.engine import Database
from db.ledger import (
    Annotations,
    Arrival,
    Cause,
    Expected,
    FramePrediction,
    FurtherPrediction,
    GroundTruth,
    Members,
    Night,
    Withdrawal,
)
from db.queries import DeliveryState
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason
from nightread.sources import ARCHIVES

STUDY = "1.2.3"
DESTINATION = "pacs"
Rows = dict[str, list[str]]


def fill_night(driver: LedgerDriver, bundle_id: int) -> None:
    """Let a night happen; its last images wait, are queued, and are being analysed."""
    _analyse_images(driver, bundle_id)
    _report_study(driver)
    _decide(driver, bundle_id)
    driver.register(build_arrivals(4))
    running, *_ = driver.form(images=2)
    driver.claim(running)
    driver.register(build_arrivals(2))


def rows_by_table(database: Database, tables: dict[str, Table]) -> Rows:
    """Return the rows of these tables, each as text, in a fixed order."""
    with database.read() as connection:
        return {
            name: sorted(repr(tuple(row)) for row in connection.execute(select(*table.columns)))
            for name, table in tables.items()
        }


def tables_of(database: Database) -> dict[str, Table]:
    """Return the tables that the database has now, by name."""
    found = MetaData()
    with database.read() as connection:
        found.reflect(connection)
    return {table.name: table for table in found.sorted_tables if table.name != "alembic_version"}


def _analyse_images(driver: LedgerDriver, bundle_id: int) -> None:
    trial = driver.register_trial_bundle()
    known = {"study_instance_uid": STUDY, "series_instance_uid": "1.2.3.4", "patient_key": "p" * 64, "key_id": "1"}
    frame = FramePrediction(frame=0, label="a", score=0.5, scores=[0.5])
    further = FurtherPrediction(bundle_id=trial, shadow=True, label="a", score=0.5, scores=[0.5], frames=(frame,))
    archives = ledger.ensure_source(driver.database, name=ARCHIVES, kind=ARCHIVES, root="/", now=driver.clock())
    member = Arrival(uri="1/a", size=5, mtime_ns=1)
    note = Withdrawal(study_instance_uid=STUDY, code="113001", sop_instance_uids=("1.2.3.4.2",))
    outcomes: list[dict[str, Any]] = [
        {
            "facts": Facts(**known, sop_instance_uid="1.2.3.4.1", modality="DX", manufacturer="Maker"),
            "content": "1" * 64,
            "label": "nodule",
            "score": 0.75,
            "scores": [0.25, 0.75],
            "further": (further,),
        },
        {
            "facts": Facts(**known, sop_instance_uid="1.2.3.4.2", modality="DX"),
            "content": "2" * 64,
            "remarks": "voi_not_used",
            "detail": "A.",
            "annotations": Annotations(counts={STUDY: 3}),
        },
        {"content": "1" * 64},
        {"state": State.REJECTED, "reason": Reason.TRUNCATED},
        {"state": State.REJECTED, "reason": Reason.KEY_OBJECT, "annotations": Annotations(withdrawal=note)},
        {"state": State.FAILED, "reason": Reason.TIMEOUT},
        {
            "state": State.EXPANDED,
            "content": "3" * 64,
            "annotations": Annotations(members=Members(source_id=archives, arrivals=(member,))),
        },
    ]
    for outcome in outcomes:
        driver.register(build_arrivals(1))
        driver.analyse_all(bundle_id=None if "state" in outcome else bundle_id, **outcome)
        driver.clock.advance(minutes=1)


def _report_study(driver: LedgerDriver) -> None:
    """One report is delivered, the next one waits, and one of another study failed."""
    for study, content, end in (
        (STUDY, "a" * 64, DeliveryState.DELIVERED),
        (STUDY, "b" * 64, None),
        ("1.2.9", "c" * 64, DeliveryState.FAILED),
    ):
        drafted = ledger.draft_delivery(
            driver.database,
            study_instance_uid=study,
            destination=DESTINATION,
            content=content,
            make_uid=lambda content=content: f"2.25.{UUID(content[:32]).int}",
            again=False,
            now=driver.clock(),
        )
        assert drafted is not None
        if end is not None:
            reason = None if end is DeliveryState.DELIVERED else "source_gone"
            ledger.end_delivery(
                driver.database, drafted[0].id, end, reason=reason, detail=reason, now=driver.clock.advance(seconds=1)
            )


def _decide(driver: LedgerDriver, bundle_id: int) -> None:
    database, clock = driver.database, driver.clock
    begin = clock().replace(hour=20, minute=0)
    ledger.set_nights(database, [Night(begin.date(), begin, begin + timedelta(hours=12))])
    expected = Expected(study_instance_uid=STUDY, source_id=driver.source_id, reported_by="store", images=3)
    ledger.expect(database, [expected], now=clock())
    truth = GroundTruth(subject="study", key=STUDY, label="nodule", present=True)
    ledger.save_ground_truth(database, [truth], actor="ann", now=clock())
    ledger.remember_issuers(database, [("patient", "HOSPITAL")], now=clock())
    route = ledger.NewRoute(bundle_id=bundle_id, role="answer", conditions=())
    ledger.add_route(database, route, first=True, actor="ann", now=clock())
    ledger.pause(database, Cause.PERSON, detail="maintenance", actor="ann", now=clock())
    ledger.end_pauses(database, actor="ann", now=clock.advance(minutes=1))
    key = {"name": "viewer", "token_hash": "f" * 64, "scopes": ["read"], "expires_at": None}
    ledger.add_api_key(database, **key, actor="ann", now=clock())  # type: ignore[arg-type]
    ledger.add_opt_out(database, ["q" * 64], number_key="q" * 64, key_id="1", actor="ann", now=clock())
    beat = {"slots": 1, "device": "CPU", "release": "1"}
    ledger.heartbeat(database, node="w1", boot_id="boot-1", now=clock(), **beat)  # type: ignore[arg-type]
    part = ledger.Heartbeat(part=ledger.PartKind.WATCHER, node="host", boot_id="boot-2")
    ledger.record_heartbeats(database, [part], now=clock())
