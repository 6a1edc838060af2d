"""Requests of people and notes of files change exactly what they name, and the audit keeps them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import Table, select, update

from db import ledger
from db.ledger import Annotations, Cause, Expected, GroundTruth, Members, Withdrawal
from db.ledger.origins import DEPTH
from db.store_tables import expected, pauses, truths
from db.tables import State, audit, work
from imaging.facts import Facts
from nightread.reasons import Reason

HOUR = timedelta(hours=1)


def rows_of(ledger_driver: LedgerDriver, table: Table) -> list[Any]:
    """Return all rows of a table in the order of its key."""
    with ledger_driver.database.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)))


def fail(ledger_driver: LedgerDriver, number: int = 1, **fields: Any) -> list[int]:
    """Register images that fail; return their ids."""
    before = len(ledger_driver.instances())
    ledger_driver.register(build_arrivals(number))
    ledger_driver.analyse_all(**{"state": State.FAILED, "content": None, **fields})
    return [row.id for row in ledger_driver.instances()[before:]]


def test_a_retry_leaves_no_value_of_earlier_attempts(ledger_driver: LedgerDriver) -> None:
    """Whatever the row held; only its place among the images, its priority and `alone` stay."""
    (image,) = fail(ledger_driver, reason=Reason.TIMEOUT)
    now = ledger_driver.clock()
    left: dict[str, Any] = {
        "deaths": 2,
        "expiries": 3,
        "lease_until": now,
        "not_before": now,
        "tried_since": now,
        "bundle_id": 1,
        "route_id": 4,
        "matched": {"modality": "CR"},
        "detail": "d",
    }
    ledger_driver.database.write(lambda connection: connection.execute(update(work).values(**left)))
    assert ledger.retry(ledger_driver.database, [image], actor="ann", now=now) == 1
    (row,) = ledger_driver.work()
    assert (row.state, row.attempts, row.deaths, row.expiries, row.alone) == (State.RECEIVED, 0, 0, 0, True)
    names = ("lease_until", "not_before", "tried_since", "bundle_id", "route_id", "matched", "detail", "reason")
    assert {name: row._mapping[name] for name in (*names, "finished_at", "batch_id")} == dict.fromkeys(
        (*names, "finished_at", "batch_id")
    )


def test_an_image_that_failed_without_a_reason_travels_with_others(ledger_driver: LedgerDriver) -> None:
    """A row of an earlier release may have none."""
    images = fail(ledger_driver)
    assert ledger.retry(ledger_driver.database, images, actor="ann", now=ledger_driver.clock()) == 1
    assert not ledger_driver.work()[0].alone


def test_a_retry_of_many_images_is_one_entry_per_thousand(ledger_driver: LedgerDriver) -> None:
    """No image is left out between two of them, and an image that was not named stays failed."""
    *images, other = fail(ledger_driver, 1002, reason=Reason.IO_ERROR)
    now = ledger_driver.clock.advance(hours=1)
    assert ledger.retry(ledger_driver.database, images, actor="ann", now=now) == 1001
    entries = rows_of(ledger_driver, audit)
    assert [(row.at, row.actor, row.action, len(row.detail["images"])) for row in entries] == [
        (now, "ann", "images.retry", 1000),
        (now, "ann", "images.retry", 1),
    ]
    assert entries[1].detail == {"images": [[images[-1], "failed", "io_error", 1]]}
    assert {row.instance_id for row in ledger_driver.work() if row.state == State.FAILED} == {other}


def test_a_retry_that_finds_no_image_is_no_entry(ledger_driver: LedgerDriver) -> None:
    """Nothing was changed."""
    assert ledger.retry(ledger_driver.database, [7], actor="ann", now=ledger_driver.clock()) == 0
    assert rows_of(ledger_driver, audit) == []


def test_a_pause_is_stored_with_its_beginning_and_its_end(ledger_driver: LedgerDriver) -> None:
    """A pause of another cause stays active."""
    database, began = ledger_driver.database, ledger_driver.clock()
    ledger.pause(database, Cause.PERSON, detail="why", actor="ann", now=began)
    ledger.pause(database, Cause.DISK, detail="full", now=began)
    ended = ledger_driver.clock.advance(hours=1)
    ledger.end_pauses(database, [Cause.PERSON], actor="ben", now=ended)
    assert [tuple(row)[1:] for row in rows_of(ledger_driver, pauses)] == [
        ("person", None, "why", "ann", began, None, None, ended, "ben"),
        ("disk", None, "full", "nightread", began, None, None, None, None),
    ]
    assert [(row.at, row.actor) for row in rows_of(ledger_driver, audit)] == [(began, "ann"), (ended, "ben")]


def test_a_request_that_ends_no_pause_is_no_entry(ledger_driver: LedgerDriver) -> None:
    """Nor is a second pause of the same cause."""
    database, now = ledger_driver.database, ledger_driver.clock()
    assert ledger.end_pauses(database, actor="ben", now=now) == []
    for detail in ("first", "second"):
        ledger.pause(database, Cause.PERSON, detail=detail, actor="ann", now=now)
    assert [row.detail for row in rows_of(ledger_driver, audit)] == [{"cause": "person", "detail": "first"}]


def test_a_probe_belongs_to_the_pause_of_the_breaker_that_is_in_force(ledger_driver: LedgerDriver) -> None:
    """Neither to one that ended nor to a pause of another cause."""
    database, now = ledger_driver.database, ledger_driver.clock()
    for cause in (Cause.BREAKER, Cause.PERSON):
        ledger.pause(database, cause, detail="", now=now)
    first, newest = 1, 3
    ledger.set_probe(database, first, "a", now=now)
    ledger.end_pauses(database, [Cause.BREAKER], now=now)
    ledger.pause(database, Cause.BREAKER, detail="", now=now)
    ledger.set_probe(database, first, "too late", now=now + HOUR)
    ledger.set_probe(database, newest, "b", now=now + HOUR)
    ended, person, breaker = rows_of(ledger_driver, pauses)
    assert [(row.probe_batch, row.probed_at) for row in (ended, person)] == [("a", now), (None, None)]
    assert (breaker.probe_batch, breaker.probed_at) == ("b", now + HOUR)
    ledger.clear_probe(database, first)
    ledger.clear_probe(database, newest)
    assert [row.probe_batch for row in rows_of(ledger_driver, pauses)] == ["a", None, None]


def truth(subject: Any, key: str, label: str, *, present: bool = True) -> GroundTruth:
    return GroundTruth(subject=subject, key=key, label=label, present=present)


def test_ground_truth_replaces_what_was_known_of_its_keys(ledger_driver: LedgerDriver) -> None:
    """The same text as a key of another kind is another key; the later of two equal lines counts."""
    began, database = ledger_driver.clock(), ledger_driver.database
    first = [truth("sop", "1", "nodule"), truth("study", "1", "nodule"), truth("sop", "2", "nodule")]
    assert ledger.save_ground_truth(database, first, actor="ann", now=began) == 3
    now = ledger_driver.clock.advance(hours=1)
    second = [truth("sop", "1", "scar"), truth("sop", "1", "clear"), truth("sop", "1", "clear", present=False)]
    assert ledger.save_ground_truth(database, second, actor="ben", now=now) == 1
    assert [tuple(row) for row in rows_of(ledger_driver, truths)] == [
        ("sop", "1", "clear", False, now),
        ("sop", "1", "scar", True, now),
        ("sop", "2", "nodule", True, began),
        ("study", "1", "nodule", True, began),
    ]
    assert [tuple(row)[1:] for row in rows_of(ledger_driver, audit)] == [
        (began, "ann", "truths.import", {"subjects": ["sop", "study"], "keys": 3, "labels": 3}),
        (now, "ben", "truths.import", {"subjects": ["sop"], "keys": 1, "labels": 2}),
    ]


def test_an_empty_import_is_no_entry(ledger_driver: LedgerDriver) -> None:
    """A file may have a header only."""
    assert ledger.save_ground_truth(ledger_driver.database, [], actor="ann", now=ledger_driver.clock()) == 0
    assert rows_of(ledger_driver, audit) == []


def expect(ledger_driver: LedgerDriver, images: int, *, now: datetime, **where: Any) -> None:
    """Store an expected number, of the study `1` by the default source unless `where` says otherwise."""
    names: dict[str, Any] = {"study_instance_uid": "1", "source_id": ledger_driver.source_id, "reported_by": "store"}
    ledger.expect(ledger_driver.database, [Expected(images=images, **(names | where))], now=now)


def numbers(ledger_driver: LedgerDriver) -> list[tuple[object, ...]]:
    return [tuple(row) for row in rows_of(ledger_driver, expected)]


def test_an_expected_number_replaces_only_its_own(ledger_driver: LedgerDriver) -> None:
    """Not that of another study, another source or another kind of reporter."""
    now, inbox = ledger_driver.clock(), ledger_driver.source_id
    ward = ledger.ensure_source(ledger_driver.database, name="ward", kind="folder", root="/ward", now=now)
    others: list[dict[str, Any]] = [
        {"study_instance_uid": "2"},
        {"source_id": ward},
        {"reported_by": "manifest"},
        {"reported_by": "header"},
    ]
    for where in ({}, *others):
        expect(ledger_driver, 5, now=now, **where)
    ledger.expect(ledger_driver.database, [], now=now)
    expect(ledger_driver, 4, now=now + HOUR)
    assert numbers(ledger_driver) == [
        ("1", inbox, "header", 5, now),
        ("1", inbox, "manifest", 5, now),
        ("1", inbox, "store", 4, now + HOUR),
        ("1", ward, "store", 5, now),
        ("2", inbox, "store", 5, now),
    ]


def test_a_number_that_is_reported_again_keeps_its_time(ledger_driver: LedgerDriver) -> None:
    """A store may be listed many times; a lower number replaces a higher one."""
    now = ledger_driver.clock()
    for hours, images in enumerate((5, 5, 4, 4)):
        expect(ledger_driver, images, now=now + hours * HOUR)
    assert numbers(ledger_driver) == [("1", ledger_driver.source_id, "store", 4, now + 2 * HOUR)]


def test_of_headers_the_highest_number_counts_and_keeps_its_time(ledger_driver: LedgerDriver) -> None:
    """A lower or an equal number changes nothing."""
    now = ledger_driver.clock()
    for hours, images in enumerate((5, 6, 6, 4)):
        expect(ledger_driver, images, now=now + hours * HOUR, reported_by="header")
    assert numbers(ledger_driver) == [("1", ledger_driver.source_id, "header", 6, now + HOUR)]


def test_the_images_of_one_batch_report_the_highest_number(ledger_driver: LedgerDriver) -> None:
    """By study and kind of reporter; a note of another image in the batch reports nothing."""
    notes: list[Annotations | None] = [
        Annotations(counts={"1": 5, "2": 0}, reported_by="header"),
        Annotations(counts={"1": 7}, reported_by="header"),
        Annotations(counts={"1": 6}, reported_by="header"),
        Annotations(counts={"1": 3}, reported_by="manifest"),
        Annotations(withdrawal=Withdrawal(study_instance_uid="1", code="113001", sop_instance_uids=("9",))),
        None,
    ]
    ledger_driver.register(build_arrivals(6))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    now, source = ledger_driver.clock.advance(seconds=5), ledger_driver.source_id
    ledger_driver.record(
        batch, [build_outcome(image, annotations=note) for image, note in zip(images, notes, strict=True)]
    )
    assert numbers(ledger_driver) == [
        ("1", source, "header", 7, now),
        ("1", source, "manifest", 3, now),
        ("2", source, "header", 0, now),
    ]


def test_an_image_that_is_tried_again_is_not_withdrawn_yet(ledger_driver: LedgerDriver) -> None:
    """It is, with its final outcome."""
    note = Annotations(withdrawal=Withdrawal(study_instance_uid="1", code="113001", sop_instance_uids=("9",)))
    fail(ledger_driver, annotations=note, reason=Reason.IO_ERROR)
    ledger_driver.register(build_arrivals(1))
    facts = Facts(study_instance_uid="1", sop_instance_uid="9")
    ledger_driver.analyse_all(state=State.RECEIVED, reason=Reason.IO_ERROR, facts=facts)
    assert ledger_driver.instances()[1].withdrawn_by is None
    ledger_driver.analyse_all(facts=facts)
    assert ledger_driver.instances()[1].withdrawn_by == ledger_driver.instances()[0].id


@pytest.mark.parametrize(("levels", "origin"), [(1, "inbox"), (DEPTH, "inbox"), (DEPTH + 1, "archives")])
def test_an_image_names_the_source_of_as_many_archives_as_are_unpacked(
    ledger_driver: LedgerDriver, levels: int, origin: str
) -> None:
    """A deeper one would name the folder of unpacked members."""
    archives = ledger.ensure_source(
        ledger_driver.database, name="archives", kind="folder", root="/archives", now=ledger_driver.clock()
    )
    ledger_driver.register(build_arrivals(1))
    for _ in range(levels):
        members = Annotations(members=Members(source_id=archives, arrivals=tuple(build_arrivals(1))))
        ledger_driver.analyse_all(state=State.EXPANDED, annotations=members)
    (batch,) = ledger_driver.form()
    assert [image.origin for image in ledger_driver.claim(batch)] == [origin]
