"""Refused associations are counted in one receipt per hour and caller, and the last hour is reported."""

from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import SettableClock

from producer.cstore import refused_associations
from producer.cstore.association import AssociationLog
from producer.cstore.refused_associations import RefusedAssociations

START = datetime(2026, 11, 28, 22, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(START)


@pytest.fixture
def written() -> list[AssociationLog]:
    """Return the receipts in the order in which they are written."""
    return []


@pytest.fixture
def refused(clock: SettableClock, written: list[AssociationLog]) -> RefusedAssociations:
    return RefusedAssociations(written.append, clock=clock)


def test_a_caller_has_one_receipt_per_hour(
    refused: RefusedAssociations, clock: SettableClock, written: list[AssociationLog]
) -> None:
    """A sender that tries again every second must not fill the database."""
    for how in ("rejected", "rejected", "aborted"):
        refused.note(calling_ae="CT1", address="10.1.2.3", how=how)
        clock.advance(minutes=5)
    (receipt,) = {log.association: log for log in written}.values()
    assert receipt.receipt().statuses == {"rejected": 2, "aborted": 1}
    assert (receipt.began_at, receipt.ended_at) == (START, START + timedelta(minutes=10))
    assert (receipt.calling_ae, receipt.address, receipt.received) == ("CT1", "10.1.2.3", 0)
    clock.advance(minutes=15)
    refused.note(calling_ae="CT1", address="10.1.2.3", how="rejected")
    assert len({log.association for log in written}) == 2


def test_callers_differ_by_title_and_address(refused: RefusedAssociations, written: list[AssociationLog]) -> None:
    """Each has its receipt, so that it can be found."""
    for calling_ae, address in (("CT1", "10.1.2.3"), ("CT1", "10.1.2.4"), ("", "10.1.2.3")):
        refused.note(calling_ae=calling_ae, address=address, how="rejected")
    assert len({log.association for log in written}) == 3


def test_the_number_of_receipts_per_hour_is_limited(
    refused: RefusedAssociations, written: list[AssociationLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that tries many titles is only counted."""
    monkeypatch.setattr(refused_associations, "_MOST_SENDERS", 2)
    for number in range(5):
        refused.note(calling_ae=f"CT{number}", address="10.1.2.3", how="rejected")
    refused.note(calling_ae="CT0", address="10.1.2.3", how="rejected")
    assert [log.calling_ae for log in written] == ["CT0", "CT1", "CT0"]
    assert refused.report()["by_kind"] == {"rejected": 6}


def test_the_report_forgets_after_an_hour(refused: RefusedAssociations, clock: SettableClock) -> None:
    """It names the latest caller."""
    assert refused.report() == {}
    refused.note(calling_ae="CT1", address="10.1.2.3", how="rejected")
    clock.advance(minutes=30)
    refused.note(calling_ae="", address="10.1.2.4", how="aborted")
    assert refused.report() == {
        "by_kind": {"rejected": 1, "aborted": 1},
        "latest": "a caller without AE title at 10.1.2.4",
    }
    clock.advance(minutes=31)
    assert refused.report()["by_kind"] == {"aborted": 1}
    clock.advance(minutes=30)
    assert refused.report() == {}
