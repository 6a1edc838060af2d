"""A receipt and the arrivals of its association are one commit."""

from dataclasses import replace
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import select

from db import ledger
from db.ledger import Arrival, Receipt, Registered
from db.store_tables import receipts


@pytest.fixture
def receipt(ledger_driver: LedgerDriver) -> Receipt:
    """An association that began now and received two images."""
    return Receipt(
        association="a" * 36,
        calling_ae="MODALITY",
        address="10.0.0.7",
        began_at=ledger_driver.clock(),
        ended_at=None,
        received=2,
        refused=1,
        failed=3,
        statuses={"A700": 1, "C000": 3},
    )


def receive(
    ledger_driver: LedgerDriver, *associations: Receipt, arrivals: list[Arrival] | None = None, priority: int = 5
) -> Registered:
    """Store receipts and arrivals."""
    return ledger.receive(
        ledger_driver.database,
        source_id=ledger_driver.source_id,
        arrivals=arrivals or [],
        associations=associations,
        priority=priority,
        now=ledger_driver.clock(),
    )


def stored(ledger_driver: LedgerDriver) -> list[Any]:
    """Return all receipts in the order of their associations."""
    with ledger_driver.database.read() as connection:
        return list(connection.execute(select(receipts).order_by(receipts.c.association)))


def test_a_receipt_is_stored_with_its_arrivals(ledger_driver: LedgerDriver, receipt: Receipt) -> None:
    """All values of the association are kept, and the images have the priority of the receiver."""
    assert receive(ledger_driver, receipt, arrivals=build_arrivals(2), priority=1) == Registered(new=2, changed=0)
    (row,) = stored(ledger_driver)
    assert (row.source_id, row.association, row.calling_ae, row.address, row.began_at) == (
        ledger_driver.source_id,
        "a" * 36,
        "MODALITY",
        "10.0.0.7",
        ledger_driver.clock(),
    )
    assert (row.ended_at, row.received, row.refused, row.failed, row.statuses) == (None, 2, 1, 3, receipt.statuses)
    assert [row.priority for row in ledger_driver.work()] == [1, 1]


def test_a_later_receipt_updates_what_changes(ledger_driver: LedgerDriver, receipt: Receipt) -> None:
    """Counts, statuses and the end are those of the latest call; caller and beginning are those of the first."""
    began = ledger_driver.clock()
    receive(ledger_driver, receipt)
    ended = ledger_driver.clock.advance(seconds=9)
    later = replace(
        receipt,
        calling_ae="OTHER",
        address="10.9.9.9",
        began_at=ended,
        ended_at=ended,
        received=5,
        refused=6,
        failed=7,
        statuses={"aborted": 1},
    )
    receive(ledger_driver, later)
    (row,) = stored(ledger_driver)
    assert (row.calling_ae, row.address, row.began_at) == ("MODALITY", "10.0.0.7", began)
    assert (row.ended_at, row.received, row.refused, row.failed, row.statuses) == (ended, 5, 6, 7, {"aborted": 1})


def test_open_receipts_of_a_dead_receiver_are_ended(ledger_driver: LedgerDriver, receipt: Receipt) -> None:
    """Those of other sources stay open, and those that ended keep their time."""
    ended = ledger_driver.clock()
    receive(ledger_driver, receipt, replace(receipt, association="b" * 36, ended_at=ended))
    other = ledger.ensure_source(
        ledger_driver.database, name="other", kind="receiver", root="/other", now=ledger_driver.clock()
    )
    mine, ledger_driver.source_id = ledger_driver.source_id, other
    receive(ledger_driver, replace(receipt, association="c" * 36))
    now = ledger_driver.clock.advance(hours=1)
    assert ledger.end_receipts(ledger_driver.database, mine, now=now) == 1
    assert ledger.end_receipts(ledger_driver.database, mine, now=now) == 0
    assert [row.ended_at for row in stored(ledger_driver)] == [now, ended, None]
