"""Senders of one receiver are different sources, as far as their addresses tell them apart."""

from collections.abc import Iterator

import pytest
from ledger_driver import LedgerDriver
from trusted_arrivals import TrustedArrivals, in_conflict

from db import ledger, queries
from db.ledger import CallingEntity, senders, unknown_sender

CT = CallingEntity(calling_ae="CT1", address="10.0.0.5")


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Let images arrive from any source."""
    return TrustedArrivals(ledger_driver=ledger_driver)


@pytest.fixture(autouse=True)
def _consistent(ledger_driver: LedgerDriver) -> Iterator[None]:
    """Check after each test that the database violates no rule."""
    yield
    assert list(queries.violations(ledger_driver.database)) == []


@pytest.mark.parametrize(
    "other",
    [CT._replace(calling_ae="CT2"), CT._replace(address="10.0.0.6"), None],
    ids=["title", "address", "unknown"],
)
def test_senders_of_one_receiver_are_different_sources(arrivals: TrustedArrivals, other: CallingEntity | None) -> None:
    """Titles are only claimed, so the address counts as well."""
    arrivals.add_source("receiver", kind="receiver")
    honest = arrivals.image("receiver", "a", sender=CT)
    hostile = arrivals.image("receiver", "b", sender=other)
    note = arrivals.note("receiver", sender=other)
    assert arrivals.superseded_by(honest, hostile) == [None, None]
    assert arrivals.withdrawn_by(honest, hostile) == [None, note]
    assert in_conflict(arrivals) == [(honest, note, "withdrawal")]


def test_a_sender_replaces_and_withdraws_its_own_images(arrivals: TrustedArrivals) -> None:
    """It has the same id in each association."""
    arrivals.add_source("receiver", kind="receiver")
    old, new = arrivals.image("receiver", "a", sender=CT), arrivals.image("receiver", "b", sender=CT)
    note = arrivals.note("receiver", sender=CT)
    assert arrivals.superseded_by(old, new) == [new, None]
    assert arrivals.withdrawn_by(old, new) == [note, note]
    assert in_conflict(arrivals) == []


def test_the_group_of_a_sender_goes_before_that_of_its_receiver(arrivals: TrustedArrivals) -> None:
    """A caller of the wards cannot replace an image of radiology at the same receiver; a folder of its group can."""
    arrivals.add_source("receiver", kind="receiver", trust="radiology")
    arrivals.add_source("ward", trust="wards")
    ct = arrivals.image("receiver", "a", sender=CT)
    own = arrivals.image("receiver", "b", sender=CallingEntity(calling_ae="W", address="10.9.0.1", trust="wards"))
    new = arrivals.image("ward", "c")
    assert arrivals.superseded_by(ct, own, new) == [None, new, None]


def test_an_unknown_sender_is_trusted_less_than_a_known_one(arrivals: TrustedArrivals) -> None:
    """Its receiver died before it stored the sender, and found the files again: they are not in its group."""
    arrivals.add_source("receiver", kind="receiver", trust="radiology")
    honest = arrivals.image("receiver", "a", sender=CT)
    found, other = (arrivals.image("receiver", text, sender=unknown_sender(mark)) for text, mark in ("bx", "cy"))
    note = arrivals.note("receiver", sender=unknown_sender("x"))
    assert arrivals.superseded_by(honest, found, other) == [None, None, None]
    assert arrivals.withdrawn_by(honest, found, other) == [None, note, None]


def test_a_host_that_changes_its_title_each_time_is_one_sender(
    arrivals: TrustedArrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first titles are told apart. Otherwise each new version would be compared with any number of current ones."""
    monkeypatch.setattr(senders, "MOST_TITLES", 2)
    receiver = arrivals.add_source("receiver", kind="receiver")
    ward = CallingEntity(calling_ae="W", address="10.0.0.5", trust="wards")
    callers = [*(CT._replace(calling_ae=f"T{number}") for number in range(5)), CT._replace(address="10.0.0.6"), ward]
    versions = [arrivals.image("receiver", text, sender=who) for text, who in zip("0123456", callers, strict=True)]
    assert arrivals.superseded_by(*versions) == [None, None, versions[3], versions[4], None, None, None]
    again = arrivals.image("receiver", "7", sender=callers[0])
    assert arrivals.superseded_by(versions[0], versions[4], again) == [again, None, None]
    groups: list[str] = []
    ledger.update_trust(arrivals.ledger_driver.database, receiver, lambda title, *_: groups.append(title))
    assert sorted(groups) == ["CT1", "T0", "T1", "W"]


def test_one_host_has_many_addresses_of_its_ipv6_network(
    arrivals: TrustedArrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it may have as many as it has titles."""
    monkeypatch.setattr(senders, "MOST_TITLES", 1)
    arrivals.add_source("receiver", kind="receiver")
    addresses = ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1")
    versions = [
        arrivals.image("receiver", text, sender=CT._replace(address=address))
        for text, address in zip("0123", addresses, strict=True)
    ]
    assert arrivals.superseded_by(*versions) == [None, versions[2], None, None]
