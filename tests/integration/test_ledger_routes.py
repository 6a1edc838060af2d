"""Routing rules are stored with their order, their end, and the person who changed them."""

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import select

from db import ledger, queries
from db.engine import Database
from db.ledger import NewRoute
from db.tables import audit


@pytest.fixture
def other_bundle_id(database: Database, ledger_driver: LedgerDriver) -> int:
    """Id of a newer version of the bundle."""
    return ledger.register_bundle(
        database,
        name="phantom",
        version="2",
        digest="e" * 64,
        labels=["a"],
        normal_label=None,
        now=ledger_driver.clock(),
    )


def add_route(
    ledger_driver: LedgerDriver, bundle_id: int, *conditions: str, role: str = "answer", first: bool = False
) -> int:
    """Add a rule in the name of alice."""
    route = NewRoute(bundle_id=bundle_id, role=role, conditions=conditions)
    return ledger.add_route(ledger_driver.database, route, first=first, actor="alice", now=ledger_driver.clock())


def routes_in_force(ledger_driver: LedgerDriver) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (bundle, role, conditions) of the active rules, in order."""
    return [(route.bundle, route.role, route.conditions) for route in queries.routes_in_force(ledger_driver.database)]


def test_rules_apply_in_the_order_in_which_they_were_added(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """A rule that is added with `first` goes before all others."""
    add_route(ledger_driver, bundle_id, "modality=CR")
    add_route(ledger_driver, bundle_id, "modality=DX", role="shadow")
    add_route(ledger_driver, bundle_id, first=True)
    assert routes_in_force(ledger_driver) == [
        ("phantom@1", "answer", ()),
        ("phantom@1", "answer", ("modality=CR",)),
        ("phantom@1", "shadow", ("modality=DX",)),
    ]


def test_a_rule_that_ended_stays_in_the_database(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Results name it; ending it again changes nothing."""
    number = add_route(ledger_driver, bundle_id)
    assert ledger.end_routes(ledger_driver.database, [number], actor="bob", now=ledger_driver.clock()) == 1
    assert ledger.end_routes(ledger_driver.database, [number], actor="bob", now=ledger_driver.clock()) == 0
    assert routes_in_force(ledger_driver) == []
    with ledger_driver.database.read() as connection:
        made = connection.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.id)).all()
    assert made == [("alice", "route.activate"), ("bob", "route.deactivate")]


def test_a_new_version_replaces_the_old_one_in_all_rules(
    ledger_driver: LedgerDriver, bundle_id: int, other_bundle_id: int
) -> None:
    """Order, roles and conditions stay the same."""
    add_route(ledger_driver, bundle_id, "modality=CR")
    add_route(ledger_driver, other_bundle_id, "modality=MR")
    add_route(ledger_driver, bundle_id, "modality=DX", role="further")
    assert (
        ledger.replace_bundle(
            ledger_driver.database, bundle_id, other_bundle_id, actor="alice", now=ledger_driver.clock()
        )
        == 2
    )
    assert routes_in_force(ledger_driver) == [
        ("phantom@2", "answer", ("modality=CR",)),
        ("phantom@2", "answer", ("modality=MR",)),
        ("phantom@2", "further", ("modality=DX",)),
    ]


def test_the_audit_says_which_rules_were_replaced_and_why(
    ledger_driver: LedgerDriver, bundle_id: int, other_bundle_id: int
) -> None:
    """Each rule with its bundle, the old ones first; nothing is written if no rule has the bundle."""
    add_route(ledger_driver, other_bundle_id)
    old = add_route(ledger_driver, bundle_id, "modality=CR", role="shadow")
    database, now = ledger_driver.database, ledger_driver.clock()
    order = {"actor": "bob", "now": now, "because": {"images": 12}}
    assert ledger.replace_bundle(database, bundle_id, other_bundle_id, **order) == 1  # type: ignore[arg-type]
    assert ledger.replace_bundle(database, bundle_id, other_bundle_id, **order) == 0  # type: ignore[arg-type]

    with database.read() as connection:
        entries = connection.execute(select(audit).order_by(audit.c.id)).all()
    both = {"position": 1, "role": "shadow", "conditions": ["modality=CR"], "name": "phantom"}
    routes = [{"id": old, "version": "1", **both}, {"id": old + 1, "version": "2", **both}]
    assert [(row.at, row.actor, row.action) for row in entries[2:]] == [(now, "bob", "route.replace")]
    assert entries[2].detail == {"routes": routes, "because": {"images": 12}}
    assert "because" not in entries[1].detail
