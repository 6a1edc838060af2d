"""Re-runs: which images they take, in chunks, what they reset, and what their outcomes write."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from series_driver import geometry
from sqlalchemy import select, update

from db import ledger
from db.ledger import RERUN, FramePrediction, RerunPlan
from db.ledger.reruns import can_be_analysed
from db.series_tables import series
from db.store_tables import occurrences
from db.tables import State, audit, batches, instances, work
from imaging.facts import Facts
from nightread.reasons import Reason

SERIES_FACTS = Facts(study_instance_uid="1.2", series_instance_uid="1.2.3")


@pytest.fixture
def trial_id(ledger_driver: LedgerDriver) -> int:
    """The bundle that analyses the images again."""
    return ledger_driver.register_trial_bundle()


def series_bundle(driver: LedgerDriver) -> int:
    """Register a bundle of unit `series`; return its id."""
    known = {"name": "s", "version": "1", "digest": "s" * 64, "labels": ["a"], "normal_label": None}
    return ledger.register_bundle(driver.database, **known, of_series=True, now=driver.clock())  # type: ignore[arg-type]


def plan(driver: LedgerDriver, bundle_id: int, *image_ids: int, shadow: bool = False) -> RerunPlan:
    """Plan a re-run of these images; without any, of all."""
    ids = image_ids or [row.id for row in driver.instances()]
    return ledger.plan_rerun(driver.database, ids, [bundle_id], shadow=shadow, actor="ann", now=driver.clock())


def rerun(driver: LedgerDriver, *others: Mapping[str, Any]) -> dict[str, int]:
    """Claim and record the only batch of a re-run, each row with its fields."""
    (batch,) = driver.form()
    images = driver.claim(batch)
    outcomes = [build_outcome(image, **fields) for image, fields in zip(images, others, strict=True)]
    closing = {"seconds": {"read": 1.5}, "release": "1.2", "runtime": "onnx"}
    return dict(ledger.record_rerun(driver.database, batch.id, outcomes, **closing, now=driver.clock()))  # type: ignore[arg-type]


def further(driver: LedgerDriver) -> list[Any]:
    return [row for row in driver.work() if row.ordinal > 0]


def entries(driver: LedgerDriver) -> list[tuple[Any, ...]]:
    """Return time, actor, action and detail of the audit, oldest first."""
    statement = select(audit.c.at, audit.c.actor, audit.c.action, audit.c.detail).order_by(audit.c.id)
    with driver.database.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def test_plans_are_added() -> None:
    """Each number by itself; unfinished are all but those that are present."""
    total = RerunPlan(added=1, again=2, waiting=4, present=8) + RerunPlan(added=16, again=32, waiting=64, present=128)
    assert total == RerunPlan(added=17, again=34, waiting=68, present=136)
    assert total.unfinished == 17 + 34 + 68


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (State.DONE, None, True),
        (State.REJECTED, Reason.NO_MODEL, True),
        (State.REJECTED, Reason.OUT_OF_DOMAIN, True),
        (State.REJECTED, Reason.TRUNCATED, False),
        (State.REJECTED, None, False),
        (State.FAILED, Reason.NO_MODEL, False),
        (State.RECEIVED, None, False),
    ],
)
def test_another_bundle_can_analyse_what_is_done_or_was_not_taken(
    state: State, reason: Reason | None, expected: bool
) -> None:
    """By the values that the database has."""
    assert can_be_analysed(state.value, reason.value if reason else None) is expected


def test_a_preview_says_what_a_plan_does(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """For two thousand images, of which four are known; each thousand has an entry of the audit if it has any."""
    ledger_driver.register(build_arrivals(4))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    unknown = range(10_000, 12_000)
    ids = [1, *unknown[:998], 2, 3, *unknown[998:1997], 4]
    assert ledger.preview_rerun(ledger_driver.database, ids, [trial_id]) == RerunPlan(added=4)
    assert ledger.preview_rerun(ledger_driver.database, ids[:1000], [trial_id, bundle_id]) == RerunPlan(
        added=2, present=2
    )
    assert further(ledger_driver) == []
    assert plan(ledger_driver, trial_id, *ids) == RerunPlan(added=4)
    assert plan(ledger_driver, trial_id, *ids) == RerunPlan(waiting=4)
    assert entries(ledger_driver) == [
        (
            ledger_driver.clock(),
            "ann",
            "images.rerun",
            {"images": images, "bundles": [trial_id], "shadow": False, "again": 0},
        )
        for images in ([1, 2], [3], [4])
    ]


def test_a_new_row_has_the_next_ordinal_and_the_values_of_a_rerun(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """Its bundle is found in its block of arrivals, although it has no result yet."""
    other_id = series_bundle(ledger_driver)
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id, 1)
    plan(ledger_driver, other_id, 1, 2, shadow=True)

    columns = ("instance_id", "ordinal", "bundle_id", "state", "priority", "shadow")
    assert [tuple(getattr(row, name) for name in columns) for row in further(ledger_driver)] == [
        (1, 1, trial_id, "received", RERUN, False),
        (1, 2, other_id, "received", RERUN, True),
        (2, 1, other_id, "received", RERUN, True),
    ]
    counts = ("attempts", "deaths", "expiries", "alone")
    assert {tuple(getattr(row, name) for name in counts) for row in further(ledger_driver)} == {(0, 0, 0, False)}
    statement = select(occurrences.c.value).where(occurrences.c.kind == "model").order_by(occurrences.c.value)
    with ledger_driver.database.read() as connection:
        found = connection.execute(statement).scalars().all()
    assert found == sorted(map(str, (bundle_id, trial_id, other_id)))


def test_a_failed_row_waits_again_as_if_it_were_new(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """Other rows keep their values. A row that killed its worker comes alone."""
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    failed = {"state": State.FAILED, "content": None}
    rerun(ledger_driver, {**failed, "reason": Reason.KILLED_WORKER}, {**failed, "reason": Reason.IO_ERROR}, {})
    now = ledger_driver.clock()
    left = {"deaths": 1, "expiries": 1, "not_before": now, "tried_since": now, "priority": 3, "detail": "text"}
    change = update(work).where(work.c.ordinal > 0).values(**left, matched={"modality": "CT"})
    ledger_driver.database.write(lambda connection: connection.execute(change))
    assert plan(ledger_driver, trial_id, shadow=True) == RerunPlan(again=2, present=1)

    killed, other, done = further(ledger_driver)
    for row in (killed, other):
        assert (row.state, row.bundle_id, row.priority, row.shadow) == ("received", trial_id, RERUN, True)
        assert (row.attempts, row.deaths, row.expiries) == (0, 0, 0)
        empty = ("batch_id", "not_before", "tried_since", "reason", "detail", "finished_at", "route_id", "matched")
        assert [getattr(row, name) for name in empty] == [None] * len(empty)
    assert (killed.alone, other.alone) == (True, False)
    assert (done.state, done.priority, done.shadow, done.alone) == ("done", 3, False, False)
    assert entries(ledger_driver)[-1][3] == {"images": [1, 2], "bundles": [trial_id], "shadow": True, "again": 2}


def test_the_latest_failure_is_tried_again_unless_there_is_a_result(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """A rejection is a result. The first row may be of the same bundle, and is not analysed again if it failed."""
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    rejected = {"state": State.REJECTED, "content": None, "reason": Reason.OUT_OF_DOMAIN}
    rerun(ledger_driver, rejected, {}, {"state": State.FAILED, "content": None, "reason": Reason.IO_ERROR})
    assert plan(ledger_driver, trial_id) == RerunPlan(present=2, again=1)
    assert plan(ledger_driver, bundle_id) == RerunPlan(present=3)


def test_only_results_have_predictions(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """A failure that has frames loses them; the batch is closed with what was counted."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    frame = FramePrediction(frame=0, label="a", score=0.5, scores=[0.5])
    failed = {"state": State.FAILED, "content": None, "reason": Reason.IO_ERROR, "frames": (frame,)}
    now = ledger_driver.clock.advance(seconds=5)
    assert rerun(ledger_driver, {}, failed) == {"done": 1, "failed": 1}

    assert ledger_driver.predicted() == [1, 2, 3]
    with ledger_driver.database.read() as connection:
        (closed,) = connection.execute(select(batches).where(batches.c.finished_at == now)).all()
    assert (closed.release, closed.runtime, closed.seconds) == ("1.2", "onnx", {"read": 1.5})
    assert closed.outcomes == {"done": 1, "failed": 1}


@pytest.mark.parametrize(
    ("known", "read", "state"),
    [
        ("a" * 64, "a" * 64, "done"),
        ("a" * 64, "b" * 64, "failed"),
        ("a" * 64, None, "done"),
        (None, "a" * 64, "done"),
        (None, None, "done"),
    ],
    ids=["same", "other", "unread", "unknown", "neither"],
)
def test_an_outcome_counts_unless_both_contents_are_known_and_differ(
    ledger_driver: LedgerDriver, trial_id: int, known: str | None, read: str | None, state: str
) -> None:
    """The image was rejected at first, with or without its content."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NO_MODEL, content=known)
    plan(ledger_driver, trial_id)
    assert rerun(ledger_driver, {"content": read}) == {state: 1}

    assert [row.reason for row in further(ledger_driver)] == [None if state == "done" else "still_changing"]
    assert [row.content for row in ledger_driver.instances()] == [known]


@pytest.mark.parametrize("state", [State.DUPLICATE, State.EXPANDED])
def test_a_file_that_is_no_image_any_more_fails(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int, state: State
) -> None:
    """It was one at its first analysis."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    assert rerun(ledger_driver, {"state": state}) == {"failed": 1}

    (row,) = further(ledger_driver)
    assert (row.reason, row.bundle_id) == ("still_changing", trial_id)
    assert row.detail == "The file has other bytes than at its first analysis."


def test_a_rerun_of_slices_changes_their_series_and_adds_a_missing_geometry(
    ledger_driver: LedgerDriver, bundle_id: int
) -> None:
    """A geometry that is known stays, and an outcome without one adds none. Other bundles do neither."""
    image_bundle, bundle = ledger_driver.register_trial_bundle(), series_bundle(ledger_driver)
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    known = update(instances).where(instances.c.id == 2).values(geometry=geometry(1))
    ledger_driver.database.write(lambda connection: connection.execute(known))
    placed = {"facts": SERIES_FACTS._replace(geometry=geometry(5))}
    outcomes = (placed, placed, {"facts": SERIES_FACTS})

    def after_rerun(which: int) -> tuple[list[str | None], list[tuple[Any, ...]]]:
        plan(ledger_driver, which)
        rerun(ledger_driver, *outcomes)
        statement = select(series.c.study_instance_uid, series.c.series_instance_uid, series.c.state)
        with ledger_driver.database.read() as connection:
            found = [tuple(row) for row in connection.execute(statement)]
        return [row.geometry for row in ledger_driver.instances()], found

    assert after_rerun(image_bundle) == ([None, geometry(1), None], [])
    assert after_rerun(bundle) == ([geometry(5), geometry(1), None], [("1.2", "1.2.3", "collecting")])


def test_only_rows_that_the_batch_holds_are_recorded(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """An outcome of a first row, or of a row whose lease expired, writes nothing."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    ledger_driver.register(build_arrivals(1))
    first, again = ledger_driver.form()
    late: dict[str, Any] = {"seconds": {}, "release": "1"}
    for batch, states in ((first, ["done", "queued", "running"]), (again, ["done", "received", "received"])):
        outcomes = [build_outcome(image) for image in ledger_driver.claim(batch)]
        if batch is again:
            ledger.return_expired(ledger_driver.database, now=ledger_driver.clock.advance(hours=1))
        assert not ledger.record_rerun(ledger_driver.database, batch.id, outcomes, **late, now=ledger_driver.clock())
        assert sorted(ledger_driver.states()) == states


def test_an_attempt_that_does_not_count_is_tried_again_later(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """A row of a re-run may wait for its source, with its bundle."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    later = ledger_driver.clock() + timedelta(minutes=5)
    waits = {"state": State.RECEIVED, "content": None, "reason": Reason.STORE_UNAVAILABLE, "uncounted": True}
    assert rerun(ledger_driver, {**waits, "not_before": later}) == {"received": 1}

    (row,) = further(ledger_driver)
    assert (row.state, row.attempts, row.not_before, row.bundle_id, row.batch_id) == (
        "received",
        0,
        later,
        trial_id,
        None,
    )
