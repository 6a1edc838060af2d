"""Rules in the record: their order, their end, and who changed them."""

import pytest
from night import Night
from sqlalchemy import select

from db import ledger, queries
from db.engine import Database
from db.ledger import NewRoute
from db.tables import audit


@pytest.fixture
def other_bundle_id(database: Database, night: Night) -> int:
    """A newer version."""
    return ledger.register_bundle(
        database, name="phantom", version="2", digest="e" * 64, labels=["a"], normal_label=None, now=night.clock()
    )


def add(night: Night, bundle_id: int, *conditions: str, role: str = "answer", first: bool = False) -> int:
    """A rule, put into force by alice."""
    route = NewRoute(bundle_id=bundle_id, role=role, conditions=conditions)
    return ledger.add_route(night.database, route, first=first, actor="alice", now=night.clock())


def in_force(night: Night) -> list[tuple[str, str, tuple[str, ...]]]:
    """(bundle, role, conditions), in order."""
    return [(route.bundle, route.role, route.conditions) for route in queries.routes_in_force(night.database)]


def test_rules_are_asked_in_the_order_they_were_given(night: Night, bundle_id: int) -> None:
    """Last unless it shall be first."""
    add(night, bundle_id, "modality=CR")
    add(night, bundle_id, "modality=DX", role="shadow")
    add(night, bundle_id, first=True)
    assert in_force(night) == [
        ("phantom@1", "answer", ()),
        ("phantom@1", "answer", ("modality=CR",)),
        ("phantom@1", "shadow", ("modality=DX",)),
    ]


def test_a_rule_that_ended_stays_in_the_record(night: Night, bundle_id: int) -> None:
    """Results name it; ending it twice changes nothing more."""
    number = add(night, bundle_id)
    assert ledger.end_routes(night.database, [number], actor="bob", now=night.clock()) == 1
    assert ledger.end_routes(night.database, [number], actor="bob", now=night.clock()) == 0
    assert in_force(night) == []
    with night.database.read() as connection:
        made = connection.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.id)).all()
    assert made == [("alice", "route.activate"), ("bob", "route.deactivate")]


def test_a_new_version_takes_the_places_of_the_old_one(night: Night, bundle_id: int, other_bundle_id: int) -> None:
    """Order, role and conditions stay."""
    add(night, bundle_id, "modality=CR")
    add(night, other_bundle_id, "modality=MR")
    add(night, bundle_id, "modality=DX", role="further")
    assert ledger.replace_bundle(night.database, bundle_id, other_bundle_id, actor="alice", now=night.clock()) == 2
    assert in_force(night) == [
        ("phantom@2", "answer", ("modality=CR",)),
        ("phantom@2", "answer", ("modality=MR",)),
        ("phantom@2", "further", ("modality=DX",)),
    ]
