"""Changes of rules and pauses are kept with their time, their actor and their values."""

from ledger_driver import LedgerDriver
from sqlalchemy import select

from db import ledger, queries
from db.store_tables import pauses, routes
from db.tables import audit


def test_rules_of_routing_are_audited_with_their_values(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Each entry has its time, its actor, and the rules before or after the change."""
    route = ledger.NewRoute(bundle_id=bundle_id, role="answer", conditions=("modality=CR",))
    began = ledger_driver.clock()
    first = ledger.add_route(ledger_driver.database, route, first=False, actor="ann", now=began)
    second = ledger.add_route(ledger_driver.database, route, first=False, actor="ann", now=began)
    third = ledger.add_route(ledger_driver.database, route, first=True, actor="ann", now=began)
    now = ledger_driver.clock.advance(seconds=1)
    assert ledger.end_routes(ledger_driver.database, [second], actor="ben", now=now) == 1
    with ledger_driver.database.read() as connection:
        kept = connection.execute(select(audit).order_by(audit.c.id)).all()
        positions = connection.execute(select(routes.c.id, routes.c.position, routes.c.ended_at)).all()
    assert sorted(positions) == [(first, 0, None), (second, 1, now), (third, -1, None)]
    assert [(row.at, row.actor, row.action) for row in kept] == [
        *[(began, "ann", "route.activate")] * 3,
        (now, "ben", "route.deactivate"),
    ]
    assert kept[1].detail == {
        "routes": [
            {
                "id": second,
                "position": 1,
                "role": "answer",
                "conditions": ["modality=CR"],
                "name": "phantom",
                "version": "1",
            }
        ]
    }


def test_a_new_rule_ignores_the_places_of_rules_that_ended(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """The first rule after all others ended begins at 0 again."""
    route = ledger.NewRoute(bundle_id=bundle_id, role="answer", conditions=())
    now = ledger_driver.clock()
    ids = [ledger.add_route(ledger_driver.database, route, first=False, actor="ann", now=now) for _ in range(3)]
    ledger.end_routes(ledger_driver.database, ids, actor="ann", now=now)
    for first in (True, True, False):
        ledger.add_route(ledger_driver.database, route, first=first, actor="ann", now=now)
    with ledger_driver.database.read() as connection:
        in_force = select(routes.c.position).where(routes.c.ended_at.is_(None)).order_by(routes.c.id)
        assert list(connection.execute(in_force).scalars()) == [0, -1, 1]


def test_replacing_a_bundle_that_no_rule_names_changes_nothing(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """There is no entry in the audit either; a rule that ended is not replaced."""
    other = ledger.register_bundle(
        ledger_driver.database,
        name="other",
        version="1",
        digest="e" * 64,
        labels=["a"],
        normal_label=None,
        now=ledger_driver.clock(),
    )
    route = ledger.NewRoute(bundle_id=bundle_id, role="answer", conditions=())
    number = ledger.add_route(ledger_driver.database, route, first=False, actor="ann", now=ledger_driver.clock())
    ledger.end_routes(ledger_driver.database, [number], actor="ann", now=ledger_driver.clock())
    replaced = ledger.replace_bundle(ledger_driver.database, bundle_id, other, actor="ann", now=ledger_driver.clock())
    assert replaced == 0
    with ledger_driver.database.read() as connection:
        assert list(connection.execute(select(audit.c.action).order_by(audit.c.id)).scalars()) == [
            "route.activate",
            "route.deactivate",
        ]


def test_the_end_of_a_pause_names_who_ended_it(ledger_driver: LedgerDriver) -> None:
    """A probe belongs to the active pause of the breaker, and to no other pause."""
    began = ledger_driver.clock()
    for cause in ledger.Cause:
        assert ledger.pause(ledger_driver.database, cause, detail=f"{cause}.", now=began)
    ledger.end_pauses(ledger_driver.database, [ledger.Cause.BREAKER], actor="ann", now=began)
    assert ledger.pause(ledger_driver.database, ledger.Cause.BREAKER, detail="Again.", now=began)
    now = ledger_driver.clock.advance(seconds=2)
    newest = max(pause.id for pause in queries.pauses(ledger_driver.database))
    ledger.set_probe(ledger_driver.database, newest, "batch", now=now)
    with ledger_driver.database.read() as connection:
        rows = connection.execute(select(pauses).order_by(pauses.c.id)).all()
    found = [(row.cause, row.ended_at, row.ended_by, row.probe_batch, row.probed_at) for row in rows]
    assert found == [
        ("breaker", began, "ann", None, None),
        ("disk", None, None, None, None),
        ("hours", None, None, None, None),
        ("person", None, None, None, None),
        ("breaker", None, None, "batch", now),
    ]
    assert [(row.detail, row.actor, row.began_at) for row in rows[3:]] == [
        ("person.", "nightread", began),
        ("Again.", "nightread", began),
    ]
