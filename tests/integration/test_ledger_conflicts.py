"""All conflicts of a batch are written to the audit table and to the log, whatever kinds they have."""

import logging
from typing import Any

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select
from trusted_arrivals import TrustedArrivals, image_fields, note_fields

from db.ledger import CallingEntity, withdrawals
from db.ledger.conflicts import log_conflicts, write_audit
from db.ledger.values import Conflict
from db.tables import audit

CT = CallingEntity(calling_ae="CT1", address="10.0.0.5")
A, B, C, D = "1.2.1.7", "1.2.1.8", "1.2.1.9", "1.2.1.10"


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Let images arrive from any source."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def audited(ledger_driver: LedgerDriver) -> list[Any]:
    """Return the entries of the audit, oldest first."""
    with ledger_driver.database.read() as connection:
        return list(connection.execute(select(audit).order_by(audit.c.id)))


def last_conflicts(arrivals: TrustedArrivals) -> list[list[object]]:
    """Return the conflicts of the last entry of the audit."""
    return sorted(audited(arrivals.ledger_driver)[-1].detail["conflicts"])


def test_a_batch_with_conflicts_of_all_kinds_is_one_entry_with_all_of_them(arrivals: TrustedArrivals) -> None:
    """A second version, two notes, and an image that a note named before it arrived."""
    early = arrivals.note("stranger", D)
    a, b, c = (arrivals.image("ct", content, sop=sop) for content, sop in zip("abc", (A, B, C), strict=True))
    other, first, second, d = arrivals.together(
        ("stranger", image_fields("e", sop=C)),
        ("stranger", note_fields(A)),
        ("stranger", note_fields(B)),
        ("ct", image_fields("d", sop=D)),
    )
    (entry,) = audited(arrivals.ledger_driver)
    assert (entry.at, entry.actor, entry.action) == (arrivals.ledger_driver.clock(), "nightread", "images.conflict")
    assert last_conflicts(arrivals) == [
        ["version", c, other],
        ["withdrawal", a, first],
        ["withdrawal", b, second],
        ["withdrawal", d, early],
    ]


def test_a_note_of_a_stranger_is_in_conflict_with_all_images_that_it_names(
    arrivals: TrustedArrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are searched in parts; here, of one image each."""
    monkeypatch.setattr(withdrawals, "_CHUNK", 1)
    images = [arrivals.image("ct", content, sop=sop) for content, sop in zip("abc", (A, B, C), strict=True)]
    note = arrivals.note("stranger", A, B, C)
    assert last_conflicts(arrivals) == [["withdrawal", image, note] for image in images]
    assert arrivals.conflict_with(*images) == [note] * 3


@pytest.mark.parametrize(
    ("number", "sizes"), [(0, []), (1, [1]), (1000, [1000]), (1001, [1000, 1]), (2000, [1000] * 2)]
)
def test_a_thousand_conflicts_are_one_entry(ledger_driver: LedgerDriver, number: int, sizes: list[int]) -> None:
    """None is left out, and none is written twice."""
    conflicts = [Conflict(image_id=image, other_id=image + 5000, kind="version") for image in range(number)]
    ledger_driver.database.write(lambda connection: write_audit(connection, conflicts, ledger_driver.clock()))
    entries = [row.detail["conflicts"] for row in audited(ledger_driver)]
    assert [len(entry) for entry in entries] == sizes
    assert [each for entry in entries for each in entry] == [["version", n, n + 5000] for n in range(number)]


def test_each_kind_of_conflict_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It counts the conflicts of its kind, and names the first one."""
    caplog.set_level(logging.WARNING)
    conflicts = [
        Conflict(image_id=3, other_id=9, kind="withdrawal"),
        Conflict(image_id=1, other_id=7, kind="version"),
        Conflict(image_id=2, other_id=8, kind="version"),
    ]
    log_conflicts(logging.getLogger("trial"), conflicts, "b1")
    lines: list[Any] = list(caplog.records)
    assert [(line.batch, line.conflicts, line.image, line.other) for line in lines] == [
        ("b1", 2, 1, 7),
        ("b1", 1, 3, 9),
    ]
    assert ["several sources" in line.message for line in lines] == [True, False]
    assert ["key object note" in line.message for line in lines] == [False, True]


@pytest.mark.parametrize(("number", "kind"), [(2, "version"), (3, "withdrawal")])
def test_a_batch_with_one_kind_of_conflict_is_one_line(
    caplog: pytest.LogCaptureFixture, number: int, kind: Any
) -> None:
    """Nothing is written about the other kind."""
    caplog.set_level(logging.WARNING)
    conflicts = [Conflict(image_id=image, other_id=9, kind=kind) for image in range(number)]
    log_conflicts(logging.getLogger("trial"), conflicts, "b1")
    lines: list[Any] = list(caplog.records)
    assert [line.conflicts for line in lines] == [number]


@pytest.mark.parametrize("levels", [1, 2])
def test_images_in_archives_come_from_the_sender_of_the_outermost_archive(
    arrivals: TrustedArrivals, levels: int
) -> None:
    """Another sender of the receiver does not replace them, and the same one does."""
    arrivals.add_source("receiver", kind="receiver")
    images = []
    for content, sender in (("a", CT), ("b", CT._replace(calling_ae="CT2")), ("c", CT)):
        arrivals.send("receiver", sender=sender)
        for level in range(levels):
            arrivals.record_waiting(arrivals.archive_fields(f"{content}{level}" * 32, 1))
        images += arrivals.record_waiting(image_fields(content))
    assert arrivals.superseded_by(*images) == [images[2], None, None]


def test_copies_of_a_nested_archive_hold_its_images(arrivals: TrustedArrivals) -> None:
    """The scanner sends the outer archive of a stranger: the stranger cannot replace what is in it."""
    for source, images in (("stranger", 1), ("ct", 0)):
        arrivals.send(source)
        arrivals.record_waiting(arrivals.archive_fields("1" * 64, images))
        if images:
            arrivals.record_waiting(arrivals.archive_fields("2" * 64, 1))
            (first,) = arrivals.record_waiting(image_fields("a"))
            hostile = arrivals.image("stranger", "b")
            assert arrivals.superseded_by(first) == [hostile]
    assert arrivals.superseded_by(first, hostile) == [None, None]
    assert arrivals.conflict_with(first, hostile) == [hostile, first]
