"""Sources, bundles, routing rules and workers are stored with all of their values, each under its own key."""

from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import Table, select
from sqlalchemy.exc import StatementError

from db import ledger
from db.ledger import FurtherPrediction, NewRoute, Outcome
from db.ledger.bundles import registered_bundles
from db.store_tables import routes
from db.tables import MODEL_LENGTH, State, audit, bundles, sources, workers
from nightread.label_codes import LabelCode, LabelCodes


def rows_of(ledger_driver: LedgerDriver, table: Table) -> list[Any]:
    """Return all rows of a table, oldest first."""
    with ledger_driver.database.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)))


def add_source(ledger_driver: LedgerDriver, name: str, root: str) -> int:
    return ledger.ensure_source(ledger_driver.database, name=name, kind="folder", root=root, now=ledger_driver.clock())


def test_a_source_keeps_the_time_of_its_first_start(ledger_driver: LedgerDriver) -> None:
    """Its root follows a later call; that of another source stays."""
    began = ledger_driver.clock()
    number = add_source(ledger_driver, "ward", "/ward")
    ledger_driver.clock.advance(hours=1)
    assert add_source(ledger_driver, "ward", "/mnt/ward") == number
    inbox, ward = rows_of(ledger_driver, sources)
    assert (ward.name, ward.kind, ward.root, ward.created_at) == ("ward", "folder", "/mnt/ward", began)
    assert (inbox.name, inbox.root) == ("inbox", "/inbox")


def test_only_the_source_with_the_marker_is_marked(ledger_driver: LedgerDriver) -> None:
    """A source is not marked at first."""
    ward = add_source(ledger_driver, "ward", "/ward")
    assert not ledger.is_marked(ledger_driver.database, ward)
    ledger.mark_source(ledger_driver.database, ward)
    assert ledger.is_marked(ledger_driver.database, ward)
    assert not ledger.is_marked(ledger_driver.database, ledger_driver.source_id)


def test_each_source_has_its_own_report_and_cursor(ledger_driver: LedgerDriver) -> None:
    """Those of the other one stay."""
    now, database, ward = ledger_driver.clock(), ledger_driver.database, add_source(ledger_driver, "ward", "/ward")
    for source, number in ((ledger_driver.source_id, 1), (ward, 2)):
        ledger.report_source(database, source, {"pending": number}, now=now)
        ledger.register_and_move(database, source_id=source, arrivals=[], cursor={"last": number}, priority=5, now=now)
    assert [(row.report, row.cursor) for row in rows_of(ledger_driver, sources)] == [
        ({"pending": 1}, {"last": 1}),
        ({"pending": 2}, {"last": 2}),
    ]
    assert ledger.cursor_of(database, ledger_driver.source_id) == {"last": 1}


def register_bundle(
    ledger_driver: LedgerDriver, digest: str, *, name: str = "lung", codes: LabelCodes | None = None
) -> int:
    return ledger.register_bundle(
        ledger_driver.database,
        name=name,
        version="3",
        digest=digest,
        labels=["clear", "nodule"],
        normal_label="clear",
        codes=codes,
        now=ledger_driver.clock(),
    )


def test_codes_of_labels_follow_the_card_of_the_bundle(ledger_driver: LedgerDriver) -> None:
    """The digest does not cover them: they are replaced, or removed, when the bundle is registered again."""
    nodule = LabelCode(scheme="SCT", value="27925004", meaning="Nodule")
    first = register_bundle(ledger_driver, "1" * 64)
    seen = []
    for codes in ({"nodule": (nodule,)}, None, {}):
        assert register_bundle(ledger_driver, "1" * 64, codes=codes) == first
        seen.append(rows_of(ledger_driver, bundles)[0].codes)
    stored = {"nodule": [{"scheme": "SCT", "value": "27925004", "meaning": "Nodule"}]}
    assert seen == [stored, stored, None]


def test_a_bundle_is_known_by_its_digest(ledger_driver: LedgerDriver) -> None:
    """A second registration changes nothing; another digest is another bundle, whatever its name is."""
    first, began = register_bundle(ledger_driver, "1" * 64), ledger_driver.clock()
    ledger_driver.clock.advance(hours=1)
    second = register_bundle(ledger_driver, "2" * 64)
    assert register_bundle(ledger_driver, "1" * 64, name="other") == first
    one, two = rows_of(ledger_driver, bundles)
    assert (one.id, one.name, one.version, one.digest, one.registered_at) == (first, "lung", "3", "1" * 64, began)
    assert (one.labels, one.normal_label, two.id) == (["clear", "nodule"], "clear", second)


def test_a_bundle_of_series_is_one_although_it_was_registered_without(ledger_driver: LedgerDriver) -> None:
    """A later registration without it takes nothing back."""
    known = {"name": "lung", "version": "3", "digest": "1" * 64, "labels": ["clear", "nodule"], "normal_label": None}
    seen = []
    for of_series in (False, True, False):
        ledger.register_bundle(ledger_driver.database, **known, of_series=of_series, now=ledger_driver.clock())
        seen.append(rows_of(ledger_driver, bundles)[0].of_series)
    assert seen == [False, True, True]


def test_the_codes_of_a_bundle_are_those_of_its_latest_start(ledger_driver: LedgerDriver) -> None:
    """A start without codes says nothing of them; one with an empty list removes them. Another bundle keeps its own."""
    lesion = LabelCode(scheme="SCT", value="27925004", meaning="Nodule")
    other = LabelCode(scheme="SCT", value="52988006", meaning="Lesion")
    found = []
    for digest, codes in (
        ("2", {"nodule": (other,)}),
        ("1", None),
        ("1", {"nodule": (lesion,)}),
        ("1", None),
        ("1", {"nodule": (other,)}),
        ("1", {}),
    ):
        ledger.register_bundle(
            ledger_driver.database,
            name="lung",
            version="3",
            digest=digest * 64,
            labels=["nodule"],
            normal_label=None,
            codes=codes,
            now=ledger_driver.clock(),
        )
        kept = {row.digest[0]: row.codes for row in rows_of(ledger_driver, bundles)}
        assert kept["2"] == {"nodule": [{"scheme": "SCT", "value": "52988006", "meaning": "Lesion"}]}
        found.append(kept.get("1"))
    stored = [{"scheme": "SCT", "value": "27925004", "meaning": "Nodule"}]
    changed = [{"scheme": "SCT", "value": "52988006", "meaning": "Lesion"}]
    assert found == [None, None, {"nodule": stored}, {"nodule": stored}, {"nodule": changed}, None]


@pytest.mark.parametrize(
    ("answer", "further", "accepted"),
    [(None, None, True), (1, 1, True), (1, 2, True), (3, None, False), (None, 3, False), (1, 3, False)],
)
def test_an_outcome_names_registered_bundles_only(
    ledger_driver: LedgerDriver, answer: int | None, further: int | None, *, accepted: bool
) -> None:
    """Bundles 1 and 2 are registered, and bundle 3 is not."""
    for digest in ("1" * 64, "2" * 64):
        register_bundle(ledger_driver, digest)
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    predictions = () if further is None else (FurtherPrediction(bundle_id=further, shadow=False, label="nodule"),)
    outcome = build_outcome(image, bundle_id=answer, further=predictions)
    with ledger_driver.database.read() as connection:
        if accepted:
            registered_bundles(connection, [outcome])
        else:
            with pytest.raises(StatementError, match="not registered"):
                registered_bundles(connection, [outcome])


@pytest.mark.parametrize(
    ("labels", "normal_label", "scores", "suspicion"),
    [
        (["clear", "nodule"], "clear", [0.25, 0.75], 0.75),
        (["nodule", "clear"], "clear", [0.25, 0.5], 0.5),
        (["nodule", "scar"], "none of them", [0.25, 0.5], 0.5),
        (["nodule", "scar"], None, [0.25, 0.5], None),
        (["nodule", "clear"], "clear", [0.25], None),
        (["clear", "nodule"], "clear", [], None),
        (["clear", "nodule"], "clear", None, None),
    ],
)
def test_the_suspicion_of_scores_follows_from_the_normal_label(
    ledger_driver: LedgerDriver,
    labels: list[str],
    normal_label: str | None,
    scores: list[float] | None,
    suspicion: float | None,
) -> None:
    """It is what the normal label leaves, or the highest score where the normal label has no score of its own."""
    register_bundle(ledger_driver, "1" * 64)
    number = ledger.register_bundle(
        ledger_driver.database,
        name="other",
        version="1",
        digest="2" * 64,
        labels=labels,
        normal_label=normal_label,
        now=ledger_driver.clock(),
    )
    outcome = Outcome(work_id=1, instance_id=1, state=State.DONE, bundle_id=number)
    with ledger_driver.database.read() as connection:
        known = registered_bundles(connection, [outcome])
    assert list(known) == [number]
    assert known[number].suspicion(scores) == suspicion


def add_route(ledger_driver: LedgerDriver, bundle_id: int, *conditions: str, first: bool = False) -> int:
    route = NewRoute(bundle_id=bundle_id, role="answer", conditions=conditions)
    return ledger.add_route(ledger_driver.database, route, first=first, actor="ann", now=ledger_driver.clock())


def test_rules_are_placed_beside_those_in_force(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """The first one has the place 0; places of rules that ended are free again."""
    added = [add_route(ledger_driver, bundle_id, first=first) for first in (False, False, True, True)]
    assert [row.position for row in rows_of(ledger_driver, routes)] == [0, 1, -1, -2]
    ended = [added[1], added[3]]
    assert ledger.end_routes(ledger_driver.database, ended, actor="ann", now=ledger_driver.clock()) == 2
    add_route(ledger_driver, bundle_id)
    add_route(ledger_driver, bundle_id, first=True)
    assert [row.position for row in rows_of(ledger_driver, routes)] == [0, 1, -1, -2, 1, -2]


def test_a_rule_knows_when_it_began_and_ended(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Ending it again changes neither its time nor the audit, and another rule stays active."""
    began = ledger_driver.clock()
    number, _other = add_route(ledger_driver, bundle_id, "modality=CR"), add_route(ledger_driver, bundle_id)
    ended = ledger_driver.clock.advance(hours=1)
    assert ledger.end_routes(ledger_driver.database, [number], actor="ben", now=ended) == 1
    assert ledger.end_routes(ledger_driver.database, [number], actor="ben", now=ended.replace(hour=1)) == 0
    first, second = rows_of(ledger_driver, routes)
    assert (first.bundle_id, first.role, first.conditions) == (bundle_id, "answer", ["modality=CR"])
    assert (first.began_at, first.ended_at, second.ended_at) == (began, ended, None)
    assert [row.action for row in rows_of(ledger_driver, audit)] == [
        "route.activate",
        "route.activate",
        "route.deactivate",
    ]


def test_the_audit_shows_the_rules_that_were_replaced_and_the_new_ones(
    ledger_driver: LedgerDriver, bundle_id: int
) -> None:
    """Neither a rule of another bundle, nor one that had ended before, nor a request that replaces nothing."""
    newer, third = register_bundle(ledger_driver, "2" * 64), register_bundle(ledger_driver, "3" * 64)
    gone = add_route(ledger_driver, bundle_id)
    ledger.end_routes(ledger_driver.database, [gone], actor="ann", now=ledger_driver.clock())
    add_route(ledger_driver, bundle_id, "modality=CR")
    add_route(ledger_driver, third)
    now = ledger_driver.clock.advance(hours=1)
    before = len(rows_of(ledger_driver, audit))
    assert ledger.replace_bundle(ledger_driver.database, newer, third, actor="ben", now=now) == 0
    assert ledger.replace_bundle(ledger_driver.database, bundle_id, newer, actor="ben", now=now) == 1
    (row,) = rows_of(ledger_driver, audit)[before:]
    assert (row.at, row.actor, row.action) == (now, "ben", "route.replace")
    shown = {"position": 0, "role": "answer", "conditions": ["modality=CR"]}
    assert row.detail == {
        "routes": [
            {"id": gone + 1, **shown, "name": "phantom", "version": "1"},
            {"id": gone + 3, **shown, "name": "lung", "version": "3"},
        ]
    }
    assert [rule.ended_at for rule in rows_of(ledger_driver, routes)[1:]] == [now, None, None]


@pytest.mark.parametrize(
    ("model", "stored"), [("lung@3", "lung@3"), (None, None), ("", None), ("x" * 400, "x" * MODEL_LENGTH)]
)
def test_a_worker_reports_its_model(ledger_driver: LedgerDriver, model: str | None, stored: str | None) -> None:
    """Without a name the routing rules decide; a very long name is cut."""
    ledger.heartbeat(
        ledger_driver.database,
        node="w1",
        boot_id="b",
        now=ledger_driver.clock(),
        slots=2,
        starting=1,
        model=model,
        device="cpu",
        release="1",
    )
    (row,) = rows_of(ledger_driver, workers)
    assert (row.model, row.slots, row.starting, row.device, row.release) == (stored, 2, 1, "cpu", "1")


def test_a_worker_without_a_model_may_leave_it_out(ledger_driver: LedgerDriver) -> None:
    """It replaces the model of the heartbeat before."""
    both: list[dict[str, Any]] = [{"model": "lung@3"}, {}]
    for facts in both:
        ledger.heartbeat(
            ledger_driver.database,
            node="w1",
            boot_id="b",
            now=ledger_driver.clock(),
            slots=2,
            device="cpu",
            release="1",
            **facts,
        )
    assert [(row.model, row.starting) for row in rows_of(ledger_driver, workers)] == [(None, 0)]
