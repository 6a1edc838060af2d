"""Rules in the record: their order, their end, and who changed them."""

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select

from db import ledger, queries
from db.engine import Database
from db.ledger import NewRoute
from db.tables import audit


@pytest.fixture
def other_bundle_id(database: Database, ledger_driver: LedgerDriver) -> int:
    """A newer version."""
    return ledger.register_bundle(
        database,
        name="phantom",
        version="2",
        digest="e" * 64,
        labels=["a"],
        normal_label=None,
        now=ledger_driver.clock(),
    )


def add(
    ledger_driver: LedgerDriver, bundle_id: int, *conditions: str, role: str = "answer", first: bool = False
) -> int:
    """A rule, put into force by alice."""
    route = NewRoute(bundle_id=bundle_id, role=role, conditions=conditions)
    return ledger.add_route(ledger_driver.database, route, first=first, actor="alice", now=ledger_driver.clock())


def in_force(ledger_driver: LedgerDriver) -> list[tuple[str, str, tuple[str, ...]]]:
    """(bundle, role, conditions), in order."""
    return [(route.bundle, route.role, route.conditions) for route in queries.routes_in_force(ledger_driver.database)]


def test_rules_are_asked_in_the_order_they_were_given(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Last unless it shall be first."""
    add(ledger_driver, bundle_id, "modality=CR")
    add(ledger_driver, bundle_id, "modality=DX", role="shadow")
    add(ledger_driver, bundle_id, first=True)
    assert in_force(ledger_driver) == [
        ("phantom@1", "answer", ()),
        ("phantom@1", "answer", ("modality=CR",)),
        ("phantom@1", "shadow", ("modality=DX",)),
    ]


def test_a_rule_that_ended_stays_in_the_record(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Results name it; ending it twice changes nothing more."""
    number = add(ledger_driver, bundle_id)
    assert ledger.end_routes(ledger_driver.database, [number], actor="bob", now=ledger_driver.clock()) == 1
    assert ledger.end_routes(ledger_driver.database, [number], actor="bob", now=ledger_driver.clock()) == 0
    assert in_force(ledger_driver) == []
    with ledger_driver.database.read() as connection:
        made = connection.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.id)).all()
    assert made == [("alice", "route.activate"), ("bob", "route.deactivate")]


def test_a_new_version_takes_the_places_of_the_old_one(
    ledger_driver: LedgerDriver, bundle_id: int, other_bundle_id: int
) -> None:
    """Order, role and conditions stay."""
    add(ledger_driver, bundle_id, "modality=CR")
    add(ledger_driver, other_bundle_id, "modality=MR")
    add(ledger_driver, bundle_id, "modality=DX", role="further")
    assert (
        ledger.replace_bundle(
            ledger_driver.database, bundle_id, other_bundle_id, actor="alice", now=ledger_driver.clock()
        )
        == 2
    )
    assert in_force(ledger_driver) == [
        ("phantom@2", "answer", ("modality=CR",)),
        ("phantom@2", "answer", ("modality=MR",)),
        ("phantom@2", "further", ("modality=DX",)),
    ]
