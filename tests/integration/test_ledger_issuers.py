"""Issuers of patient and accession numbers are remembered once, up to a limit."""

from collections.abc import Collection
from datetime import datetime

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select

from db.ledger.issuers import remember_issuers
from db.store_tables import issuers
from imaging.patient import NumberKind


def remember(ledger_driver: LedgerDriver, seen: Collection[tuple[NumberKind, str]]) -> None:
    remember_issuers(ledger_driver.database, seen, now=ledger_driver.clock())


def stored(ledger_driver: LedgerDriver) -> list[tuple[str, str, datetime]]:
    """Return the rows in the order of their kinds and names."""
    statement = select(issuers.c.kind, issuers.c.name, issuers.c.first_seen_at).order_by(*issuers.primary_key)
    with ledger_driver.database.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def test_an_issuer_keeps_the_time_at_which_it_was_seen_first(ledger_driver: LedgerDriver) -> None:
    """The same name may be one of patients and one of orders."""
    first = ledger_driver.clock()
    remember(ledger_driver, {("patient", "North"), ("accession", "North")})
    second = ledger_driver.clock.advance(hours=1)
    remember(ledger_driver, {("patient", "North"), ("patient", "South")})
    assert stored(ledger_driver) == [
        ("accession", "North", first),
        ("patient", "North", first),
        ("patient", "South", second),
    ]


def test_no_more_issuers_are_stored_than_the_limit(
    ledger_driver: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several new ones the first by name fill the place that is left, and then none is stored."""
    monkeypatch.setattr("db.ledger.issuers.ISSUER_LIMIT", 3)
    remember(ledger_driver, {("patient", "C")})
    remember(ledger_driver, {("patient", "D"), ("patient", "B"), ("patient", "A")})
    assert [name for _, name, _ in stored(ledger_driver)] == ["A", "B", "C"]
    remember(ledger_driver, {("patient", "E")})
    assert [name for _, name, _ in stored(ledger_driver)] == ["A", "B", "C"]


def test_more_issuers_than_a_lower_limit_stay(ledger_driver: LedgerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release with a lower limit removes none of them, and adds none."""
    remember(ledger_driver, {("patient", "A"), ("patient", "B"), ("patient", "C")})
    monkeypatch.setattr("db.ledger.issuers.ISSUER_LIMIT", 1)
    remember(ledger_driver, {("patient", "D"), ("patient", "E"), ("patient", "F")})
    assert [name for _, name, _ in stored(ledger_driver)] == ["A", "B", "C"]
