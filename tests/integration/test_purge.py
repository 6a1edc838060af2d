"""`nightread purge` removes what identifies images and what was found in them; the counts stay."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from purge_rows import CANARY, add_study_rows, text_of_all_rows
from sqlalchemy import select, update
from trusted_arrivals import STUDY, TrustedArrivals

from db import ledger, queries
from db.ledger import Arrival, FramePrediction, FurtherPrediction
from db.queries import ImageFilter
from db.tables import State, audit, contents, instances, predictions
from imaging.facts import FACT_NAMES, Facts
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Records arrivals one by one."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def _purge(driver: LedgerDriver, *image_ids: int) -> ledger.Purged:
    ids = queries.with_copies(driver.database, image_ids)
    return ledger.purge(driver.database, ids, cause="image", actor="ann", now=driver.clock())


def _facts() -> Facts:
    """Return facts of which every text holds the canary."""
    texts = {
        name: f"{CANARY}-{name}"[:64]
        for name in FACT_NAMES
        if name not in ("rows", "columns", "frames", "pixel_spacing")
    }
    short = {"view_position": f"{CANARY}-view", "station_name": f"{CANARY}-room", "photometric": CANARY}
    fixed = {"study_instance_uid": STUDY, "study_date": "20261105", "key_id": "k", "modality": "M"}
    return Facts(**{**texts, **fixed, "patient_sex": "F", "laterality": "L", **short, "age_band": "40-49"})


def test_no_word_of_a_purged_image_is_left_in_any_table(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Every text column of the image holds a canary before, and no row of any table afterwards."""
    frame = FramePrediction(frame=0, label=CANARY, score=0.5, scores=[0.5, 0.5])
    further = FurtherPrediction(bundle_id=bundle_id, shadow=True, label=CANARY, score=0.5, frames=(frame,))
    ledger_driver.register(make_arrivals(1, uri=f"{CANARY}.dcm", member_name=CANARY))
    ledger_driver.analyse_all(
        bundle_id=bundle_id,
        facts=_facts(),
        label=CANARY,
        detail=CANARY,
        matched={"description": CANARY},
        remarks=CANARY,
        frames=(frame,),
        further=(further,),
    )
    add_study_rows(ledger_driver)
    assert CANARY in text_of_all_rows(ledger_driver)
    assert STUDY in text_of_all_rows(ledger_driver)
    purged = _purge(ledger_driver, 1)
    assert (purged.images, purged.predictions, purged.reports) == (1, 2, 1)
    left = text_of_all_rows(ledger_driver)
    assert CANARY not in left
    assert STUDY not in left
    assert list(queries.violations(ledger_driver.database)) == []
    assert queries.tally(ledger_driver.database).done == 1
    (row,) = queries.images(ledger_driver.database)
    assert (row["uri"], row["state"], row["purged_at"]) == (None, "done", ledger_driver.clock())


def test_a_purged_image_keeps_no_relation_to_others(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Neither the note that withdrew it with its code, nor the image with which it is in conflict."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all()
    related = {"withdrawn_by": 2, "withdrawn_code": "113037", "conflict_with": 2}
    ledger_driver.database.write(lambda c: c.execute(update(instances).where(instances.c.id == 1).values(**related)))
    _purge(ledger_driver, 1)

    purged = ledger_driver.instances()[0]
    assert [getattr(purged, name) for name in related] == [None, None, None]


def test_an_original_keeps_its_content_if_only_its_duplicate_is_purged(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The next copy is a duplicate of it again."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(content="a" * 64)
    ledger.purge(ledger_driver.database, [2], cause="image", actor="ann", now=ledger_driver.clock())
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(content="a" * 64)

    assert [row.duplicate_of for row in ledger_driver.work()] == [None, 1, 1]


def test_a_purged_file_does_not_come_back_at_the_next_scan(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The same file is known; a changed file is a new arrival, and both are counted."""
    (file,) = make_arrivals(1)
    ledger_driver.register([file])
    ledger_driver.analyse_all()
    _purge(ledger_driver, 1)
    assert ledger_driver.register([file]) == ledger.Registered(new=0, changed=0)
    assert queries.missing_from_ledger(ledger_driver.database, ledger_driver.source_id, [file.uri]) == []
    assert ledger_driver.register([replace(file, size=2)]).new == 1
    ledger_driver.analyse_all(content=f"{1:064x}")
    assert ledger_driver.states() == ["done", "done"]
    assert list(queries.violations(ledger_driver.database)) == []


def test_unfinished_work_is_cancelled_and_its_late_outcome_is_not_recorded(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """Of a waiting, a queued and a running image; their batches end."""
    ledger_driver.register(make_arrivals(1))
    (running,) = ledger_driver.form()
    claimed = ledger_driver.claim(running)
    ledger_driver.register(make_arrivals(1))
    (queued,) = ledger_driver.form()
    ledger_driver.register(make_arrivals(1))
    assert _purge(ledger_driver, 1, 2, 3).cancelled == 3
    assert ledger_driver.record(running, [build_outcome(image) for image in claimed]) == {}
    assert ledger_driver.claim(queued) == []
    now = ledger_driver.clock()
    assert {(row.state, row.reason, row.finished_at, row.lease_until) for row in ledger_driver.work()} == {
        ("rejected", "cancelled", now, None)
    }
    assert ledger_driver.predicted() == ledger_driver.open_batches() == []
    assert list(queries.violations(ledger_driver.database)) == []


def test_a_purged_image_is_never_retried(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Neither by its id nor by its reason: its path is unknown."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.IO_ERROR)
    _purge(ledger_driver, 1)
    assert ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock()) == 0
    assert list(queries.retriable(ledger_driver.database, ImageFilter(image_ids=(1,)))) == []


def test_each_purge_is_audited_with_ids_only(arrivals: TrustedArrivals) -> None:
    """The trace of the image names the entry."""
    image = arrivals.image("ct", "a", uri=f"{CANARY}.dcm")
    driver = arrivals.ledger_driver
    _purge(driver, image)
    with driver.database.read() as connection:
        (entry,) = connection.execute(select(audit)).all()
    assert (entry.action, entry.actor) == ("images.purge", "ann")
    assert entry.detail == {"cause": "image", "images": [image], "cancelled": 0, "predictions": 1, "reports": 0}
    (trace,) = queries.trace(driver.database, [image])
    assert [event.what.value for event in trace.events][-2:] == ["purged", "audit"]
    assert trace.uri is None


def test_a_large_purge_is_many_short_transactions(ledger_driver: LedgerDriver) -> None:
    """Two hundred images each; a second purge finds nothing."""
    ledger_driver.register(build_arrivals(450))
    ledger_driver.analyse_all()
    ids = queries.with_copies(ledger_driver.database, range(1, 451))
    purged = ledger.purge(ledger_driver.database, ids, cause="age", actor="ann", now=ledger_driver.clock())
    assert purged.images == 450
    with ledger_driver.database.read() as connection:
        entries = connection.execute(select(audit.c.detail)).scalars().all()
        assert connection.execute(select(predictions)).first() is None
        assert connection.execute(select(contents)).first() is None
    assert [len(entry["images"]) for entry in entries] == [200, 200, 50]
    assert queries.with_copies(ledger_driver.database, ids) == []


def test_sqlite_overwrites_what_a_purge_deletes(tmp_path: Path, new_sqlite: Any, clock: Any) -> None:
    """The bytes are neither in the file nor in its log after a checkpoint."""
    path = tmp_path / "purged.sqlite3"
    with new_sqlite(path) as database:
        source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
        driver.register(build_arrivals(1, uri=f"{CANARY}-file.dcm"))
        driver.analyse_all(label=f"{CANARY}-label")
        _checkpoint(database)
        assert CANARY.encode() in path.read_bytes()
        _purge(driver, 1)
        _checkpoint(database)
        assert CANARY.encode() not in path.read_bytes()


def _checkpoint(database: Any) -> None:
    with database.read() as connection:
        connection.rollback()
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_the_next_purge_of_a_spool_removes_what_another_host_could_not(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The file of a purged image is due at once, and is named by its place."""
    (file,) = make_arrivals(1)
    ledger_driver.register([file])
    ledger_driver.analyse_all()
    _purge(ledger_driver, 1)
    (spooled,) = queries.spooled_at(ledger_driver.database, ledger_driver.source_id, [file.uri])
    assert (spooled.uri, spooled.is_useless) == (file.uri, True)
    assert list(queries.all_spooled(ledger_driver.database, ledger_driver.source_id)) == []
    assert list(queries.uris_of(ledger_driver.database, ledger_driver.source_id)) == []


def test_the_values_of_an_image_that_are_kept_identify_nobody(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """A new column of the tables must be decided about here: kept, or emptied by the purge."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(facts=_facts())
    _purge(ledger_driver, 1)
    with ledger_driver.database.read() as connection:
        row = connection.execute(select(instances)).one()
    kept = {name for name, value in row._mapping.items() if value not in (None, "")}
    assert kept == {"id", "source_id", "uri_key", "size", "mtime_ns", "arrived_at", "purged_at"}
    assert {column.name for column in instances.c} - kept == {
        *FACT_NAMES,
        *("uri", "parent_id", "content", "member_name", "sender_id", "unowned"),
        *("superseded_by", "replaced_by", "withdrawn_by", "withdrawn_code", "conflict_with"),
    }


def test_a_purge_by_age_has_one_entry_for_each_day(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Images of one day are added up, to midnight UTC; those of the next day are not."""
    ledger_driver.register(make_arrivals(3))
    ledger_driver.analyse_all()
    evening = ledger_driver.clock().replace(hour=23, minute=59, second=58)
    for image_id, seconds in ((1, 0), (2, 1), (3, 2)):
        now = evening + timedelta(seconds=seconds)
        ledger.purge_by_age(ledger_driver.database, [image_id], days=30, duplicates_since=now, now=now)

    with ledger_driver.database.read() as connection:
        expired = select(audit.c.detail).where(audit.c.action == "images.expire").order_by(audit.c.id)
        assert [detail["images"] for detail in connection.execute(expired).scalars()] == [2, 1]
