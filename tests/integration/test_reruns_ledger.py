"""A re-run adds rows of other bundles that take the way of all images, and never changes a first result."""

from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select

from db import ledger, queries
from db.alarm_tables import rule_actions
from db.ledger import RERUN, Batch, RerunPlan
from db.ledger.rule_priorities import keep_priorities
from db.store_tables import opt_outs
from db.tables import State, audit
from imaging.facts import Facts
from nightread.reasons import Reason


@pytest.fixture
def trial_id(ledger_driver: LedgerDriver) -> int:
    """The bundle that analyses the images again."""
    return ledger_driver.register_trial_bundle()


def plan(ledger_driver: LedgerDriver, *bundle_ids: int, shadow: bool = False) -> RerunPlan:
    """Plan a re-run of all images."""
    ids = [row.id for row in ledger_driver.instances()]
    now = ledger_driver.clock()
    return ledger.plan_rerun(ledger_driver.database, ids, bundle_ids, shadow=shadow, actor="ann", now=now)


def rerun(ledger_driver: LedgerDriver, batch: Batch, **fields: Any) -> dict[str, int]:
    """Claim and record a batch of a re-run."""
    outcomes = [build_outcome(image, **{"label": "a", **fields}) for image in ledger_driver.claim(batch)]
    return dict(
        ledger.record_rerun(
            ledger_driver.database, batch.id, outcomes, seconds={}, release="test", now=ledger_driver.clock()
        )
    )


def further(ledger_driver: LedgerDriver) -> list[Any]:
    """Return the rows of the re-run."""
    return [row for row in ledger_driver.work() if row.ordinal > 0]


def test_a_rerun_adds_rows_and_changes_no_first_result(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """The rows have their bundle, its label and their predictions; the first rows are the same to the last value."""
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    before = ledger_driver.work()
    assert plan(ledger_driver, trial_id) == RerunPlan(added=3)
    (batch,) = ledger_driver.form()
    assert rerun(ledger_driver, batch) == {"done": 3}
    rows = ledger_driver.work()
    assert rows[:3] == before
    assert [(row.ordinal, row.bundle_id, row.label, row.shadow, row.attempts) for row in rows[3:]] == [
        (1, trial_id, "a", False, 1)
    ] * 3
    assert ledger_driver.predicted() == [row.id for row in rows]
    assert queries.tally(ledger_driver.database).to_json()["done"] == 3
    assert not list(queries.violations(ledger_driver.database))


def test_the_same_rerun_again_does_only_what_is_missing(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """Results stay, waiting rows are not added twice, and failed ones wait again."""
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    assert not list(queries.violations(ledger_driver.database))
    assert plan(ledger_driver, trial_id) == RerunPlan(waiting=3)
    first, second, third = ledger_driver.form(images=1)
    rerun(ledger_driver, first)
    rerun(ledger_driver, second, state=State.FAILED, reason=Reason.MISSING_FILE)
    assert plan(ledger_driver, trial_id) == RerunPlan(present=1, again=1, waiting=1)
    rerun(ledger_driver, third)
    (again,) = ledger_driver.form()
    rerun(ledger_driver, again)
    assert plan(ledger_driver, trial_id) == RerunPlan(present=3)
    assert [row.state for row in further(ledger_driver)] == ["done"] * 3
    assert ledger_driver.predicted() == [row.id for row in ledger_driver.work()]


def test_a_crash_during_a_rerun_loses_nothing(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """After the death of the process the rows are received again, and a late record of the dead one writes nothing."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    database, now = ledger_driver.database, ledger_driver.clock()
    assert ledger.requeue_predecessor(database, ledger_driver.process, work_in_flight=images[0].work_id, now=now) == 2
    late = [build_outcome(image) for image in images]
    assert not ledger.record_rerun(database, batch.id, late, seconds={}, release="test", now=now)
    assert plan(ledger_driver, trial_id) == RerunPlan(waiting=2)
    for each in ledger_driver.form():
        rerun(ledger_driver, each)
    assert [(row.state, row.alone) for row in further(ledger_driver)] == [("done", True), ("done", False)]


def test_arrivals_go_first_and_in_batches_of_their_own(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """A re-run waits behind every arrival, whatever its priority."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    ledger_driver.register(build_arrivals(2), priority=9)
    arrivals, again = (ledger_driver.claim(batch) for batch in ledger_driver.form())
    assert [image.rerun_bundle_id for image in arrivals] == [None, None]
    assert [image.rerun_bundle_id for image in again] == [trial_id, trial_id]
    assert {row.priority for row in further(ledger_driver)} == {RERUN}


def test_rows_of_one_image_travel_together(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """An image is read once for several bundles, although the batch is full in its middle."""
    other = {"name": "u", "version": "1", "digest": "u" * 64, "labels": ["a"], "normal_label": None}
    other_id = ledger.register_bundle(ledger_driver.database, **other, now=ledger_driver.clock())
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id, other_id)
    batches = [ledger_driver.form(count=1, images=3), *(ledger_driver.form(count=1, images=3) for _ in range(2))]
    claimed = [[image.instance_id for image in ledger_driver.claim(batch)] for (batch,) in batches]
    assert claimed == [[1, 1], [2, 2], [3, 3]]


def test_a_full_batch_of_a_rerun_takes_all_rows_of_its_last_image(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """Three rows are wanted, and the fourth belongs to the image of the third."""
    other = {"name": "u", "version": "1", "digest": "u" * 64, "labels": ["a"], "normal_label": None}
    other_id = ledger.register_bundle(ledger_driver.database, **other, now=ledger_driver.clock())
    ledger_driver.register(build_arrivals(4))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id, other_id)
    claimed = [
        [image.instance_id for image in ledger_driver.claim(batch)] for batch in ledger_driver.form(count=3, images=3)
    ]
    assert claimed == [[1, 1, 2, 2], [3, 3, 4, 4]]


def test_rerun_rows_are_no_arrivals(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """Progress, the oldest waiting image and the counts of the night do not see them."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    database = ledger_driver.database
    ledger_driver.claim(ledger_driver.form(count=1, images=1)[0])
    assert queries.unfinished(database) == 0
    assert queries.oldest_waiting(database) is None
    assert queries.oldest_unfinished(database) is None
    counts = queries.tally(database).to_json()
    assert (counts["waiting"], counts["running"], counts["done"]) == (0, 0, 2)
    assert queries.unfinished_reruns(database, [trial_id]) == 2


def test_other_bytes_are_no_result_of_the_image(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """The row fails if the file holds other bytes than those of the first analysis."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    (batch,) = ledger_driver.form()
    rerun(ledger_driver, batch, content="f" * 64)
    (row,) = further(ledger_driver)
    assert (row.state, row.reason, row.label) == ("failed", "still_changing", None)
    assert ledger_driver.instances()[0].content == f"{1:064x}"


def test_an_opt_out_is_respected(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """A patient who opts out between the first analysis and the re-run gets no further result."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    with ledger_driver.database.writer.begin() as connection:
        key = {"patient_key": "k" * 64, "number_key": "n" * 64, "key_id": "1", "actor": "ann"}
        connection.execute(opt_outs.insert().values(**key, added_at=ledger_driver.clock()))
    (batch,) = ledger_driver.form()
    rerun(ledger_driver, batch, facts=Facts(patient_key="k" * 64))
    (row,) = further(ledger_driver)
    assert (row.state, row.reason, row.label) == ("rejected", "opted_out", None)
    assert ledger_driver.predicted() == [1]


def test_a_purge_removes_further_rows_and_cancels_waiting_ones(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """What waits is cancelled, results are emptied, and a purged image is never analysed again."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    (first, second) = ledger_driver.form(images=1)
    rerun(ledger_driver, first)
    images = ledger_driver.claim(second)
    database, now = ledger_driver.database, ledger_driver.clock()
    ledger.purge(database, [1, 2], cause="image", actor="ann", now=now)
    late = [build_outcome(image) for image in images]
    assert not ledger.record_rerun(database, second.id, late, seconds={}, release="test", now=now)
    assert [(row.state, row.label, row.bundle_id) for row in further(ledger_driver)] == [
        ("done", None, None),
        ("rejected", None, None),
    ]
    assert ledger_driver.predicted() == []
    assert plan(ledger_driver, trial_id) == RerunPlan()
    assert not list(queries.violations(database))


def test_a_value_that_the_database_refuses_costs_one_row(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """The other rows of the batch have their results."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id)
    (batch,) = ledger_driver.form()
    good, bad = [build_outcome(image) for image in ledger_driver.claim(batch)]
    outcomes = [good, bad._replace(label="\ud800")]
    counts = ledger.record_rerun(
        ledger_driver.database, batch.id, outcomes, seconds={}, release="test", now=ledger_driver.clock()
    )
    assert counts == {"done": 1, "failed": 1}
    assert [row.reason for row in further(ledger_driver)] == [None, "unstorable"]


def test_images_that_no_model_took_can_be_analysed_and_defective_ones_cannot(
    ledger_driver: LedgerDriver, trial_id: int
) -> None:
    """A new network may be made for what was out of scope; a truncated file stays truncated."""
    for reason in (Reason.NO_MODEL, Reason.TRUNCATED):
        ledger_driver.register(build_arrivals(1))
        ledger_driver.analyse_all(state=State.REJECTED, reason=reason, content="b" * 64)
    assert plan(ledger_driver, trial_id) == RerunPlan(added=1)


def test_the_audit_says_who_ordered_a_rerun(ledger_driver: LedgerDriver, bundle_id: int, trial_id: int) -> None:
    """The row has the images, the bundles and whether the results are shadow results."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    plan(ledger_driver, trial_id, shadow=True)
    with ledger_driver.database.read() as connection:
        (entry,) = connection.execute(select(audit).where(audit.c.action == "images.rerun"))
    assert (entry.actor, entry.detail["images"], entry.detail["bundles"]) == ("ann", [1, 2], [trial_id])
    assert entry.detail["shadow"] is True
    assert all(row.shadow for row in further(ledger_driver))


def test_a_rule_on_results_does_not_move_a_rerun_forward(
    ledger_driver: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """A priority of an arrival would put the row into a batch of first analyses; such rows are kept apart."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(bundle_id=bundle_id, facts=Facts(study_instance_uid="1.2.3"))
    plan(ledger_driver, trial_id)
    database, now = ledger_driver.database, ledger_driver.clock()
    with database.writer.begin() as connection:
        action = {"rule": "urgent", "kind": "priority", "target": "1", "subject": "1.2.3", "instance_id": 1}
        connection.execute(rule_actions.insert().values(**action, at=now))
    assert keep_priorities(database, now) == 0
    assert {row.priority for row in further(ledger_driver)} == {RERUN}
