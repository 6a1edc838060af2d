"""Outcomes decide which series collect slices."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from series_driver import SERIES, STUDY, SeriesDriver
from series_rows import change, rows

from db import ledger
from db.ledger import Annotations, FurtherPrediction, Outcome, Withdrawal
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

LEASE = timedelta(seconds=30)
WAITS: Mapping[str, Any] = {"state": State.RECEIVED, "reason": Reason.AWAITING_SERIES, "uncounted": True}


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """Slices of a bundle of unit `series`."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def states(driver: LedgerDriver) -> list[str]:
    return [row.state for row in rows(driver)]


def record(driver: LedgerDriver, *others: Mapping[str, Any]) -> None:
    """Record one image with each of these fields, in one batch."""
    driver.register(build_arrivals(len(others)))
    (batch,) = driver.form(count=1, images=len(others))
    images = driver.claim(batch)
    driver.record(batch, [build_outcome(image, **fields) for image, fields in zip(images, others, strict=True)])


def facts(series_uid: str | None = SERIES, study: str | None = STUDY, **others: Any) -> Facts:
    return Facts(series_instance_uid=series_uid, study_instance_uid=study, **others)


def failed_series(driver: LedgerDriver) -> None:
    """Change all series as if they had failed."""
    change(driver, state="failed", attempts=3, reason="series_not_formed", detail="text")


def test_the_first_slice_inserts_its_series(series_driver: SeriesDriver) -> None:
    """Series of two studies with one Series Instance UID are two, and the next slices insert nothing."""
    driver = series_driver.ledger_driver
    began = driver.clock()
    series_driver.record([0])
    series_driver.record([0], study="1.9")
    later = driver.clock.advance(seconds=5)
    series_driver.record([5, 10])

    columns = ("study_instance_uid", "series_instance_uid", "state", "began_at", "changed_at", "attempts")
    assert [tuple(getattr(row, name) for name in columns) for row in rows(driver)] == [
        (STUDY, SERIES, "collecting", began, later, 0),
        ("1.9", SERIES, "collecting", began, began, 0),
    ]


@pytest.mark.parametrize(
    "known",
    [
        {"state": "due", "cause": "quiet"},
        {"state": "forming", "cause": "quiet", "claim": "c", "attempts": 1},
        {"state": "failed", "attempts": 3, "reason": "series_not_formed", "detail": "text"},
    ],
    ids=lambda known: known["state"],
)
def test_a_slice_makes_a_series_collect_from_the_beginning(series_driver: SeriesDriver, known: dict[str, Any]) -> None:
    """Nothing is left of what was before."""
    driver = series_driver.ledger_driver
    series_driver.record([0])
    lease = driver.clock() + LEASE if known["state"] == "forming" else None
    change(driver, **known, lease_until=lease)
    later = driver.clock.advance(seconds=5)
    series_driver.record([5])

    (row,) = rows(driver)
    assert (row.state, row.began_at, row.changed_at, row.attempts) == ("collecting", later, later, 0)
    assert (row.cause, row.claim, row.lease_until, row.reason, row.detail) == (None,) * 5


@pytest.mark.parametrize(
    "fields",
    [
        {"state": State.REJECTED, "reason": Reason.TRUNCATED},
        {"state": State.FAILED, "reason": Reason.IO_ERROR},
        {"state": State.DONE, "content": f"{1:064x}"},  # becomes a duplicate of the first slice
    ],
    ids=["rejected", "failed", "duplicate"],
)
def test_an_image_without_a_result_changes_its_series(series_driver: SeriesDriver, fields: dict[str, Any]) -> None:
    """No series is inserted for it, and none for a re-run that needs the order of its series."""
    driver = series_driver.ledger_driver
    series_driver.record([0])
    later = driver.clock.advance(seconds=5)
    unordered = {"state": State.FAILED, "reason": Reason.AWAITING_SERIES, "facts": facts("1.9")}
    record(driver, {**fields, "facts": facts()}, unordered)

    assert [(row.series_instance_uid, row.changed_at) for row in rows(driver)] == [(SERIES, later)]


@pytest.mark.parametrize(
    "fields",
    [
        {"state": State.DONE},
        {"state": State.RECEIVED, "reason": Reason.STORE_UNAVAILABLE},
    ],
    ids=["done by another bundle", "tried again"],
)
def test_other_images_do_not_change_a_series(
    series_driver: SeriesDriver, bundle_id: int, fields: dict[str, Any]
) -> None:
    """They insert none either."""
    driver = series_driver.ledger_driver
    began = driver.clock()
    series_driver.record([0])
    driver.clock.advance(seconds=5)
    bundle = {"bundle_id": bundle_id} if fields["state"] is State.DONE else {}
    record(driver, *({**fields, **bundle, "content": None, "facts": facts(uid)} for uid in (SERIES, "1.9")))

    assert [(row.series_instance_uid, row.changed_at) for row in rows(driver)] == [(SERIES, began)]


def test_images_without_a_study_or_series_belong_to_no_series(series_driver: SeriesDriver) -> None:
    """Neither a slice nor a rejected image, beside others of the same batch."""
    driver = series_driver.ledger_driver
    known = [facts(), facts(None), facts(study=None), facts(None, None)]
    record(driver, *({"bundle_id": series_driver.bundle_id, "facts": each} for each in known))
    later = driver.clock.advance(seconds=5)
    record(driver, *({"state": State.REJECTED, "reason": Reason.TRUNCATED, "facts": each} for each in known))

    assert [(row.study_instance_uid, row.series_instance_uid, row.changed_at) for row in rows(driver)] == [
        (STUDY, SERIES, later)
    ]


def test_one_of_several_bundles_is_enough(series_driver: SeriesDriver, bundle_id: int) -> None:
    """The slice belongs to the bundle of unit `series` through a further prediction."""
    further = FurtherPrediction(bundle_id=series_driver.bundle_id, shadow=True, label="clear", score=1.0)
    of_image = FurtherPrediction(bundle_id=bundle_id, shadow=True, label="normal", score=1.0)
    driver = series_driver.ledger_driver
    record(driver, {"bundle_id": bundle_id, "further": (further,), "facts": facts()})
    record(driver, {"bundle_id": None, "further": (of_image,), "facts": facts("1.9")})

    assert [row.series_instance_uid for row in rows(driver)] == [SERIES]


def read_again(driver: LedgerDriver) -> None:
    """Read the waiting slices again, which then wait for their series as before."""
    for batch in driver.form():
        images = {image.instance_id: image for image in driver.claim(batch)}
        known = {row.id: row for row in driver.instances() if row.id in images}
        outcomes = [
            build_outcome(images[key], **WAITS, content=row.content, facts=facts()) for key, row in known.items()
        ]
        driver.record(batch, outcomes)


def test_a_waiting_slice_that_is_read_again_lets_its_series_become_quiet(series_driver: SeriesDriver) -> None:
    """A slice that waits for the first time changes the series."""
    driver = series_driver.ledger_driver
    series_driver.record([0], content="a" * 64, **WAITS)
    began = driver.clock()
    assert [row.changed_at for row in rows(driver)] == [began]
    driver.clock.advance(seconds=5)
    read_again(driver)
    assert [row.changed_at for row in rows(driver)] == [began]


@pytest.mark.parametrize("state", ["formed", "failed"])
def test_a_waiting_slice_that_is_read_again_asks_for_an_ended_series(series_driver: SeriesDriver, state: str) -> None:
    """With the attempts of the series, because a series that always fails must end."""
    driver = series_driver.ledger_driver
    series_driver.record([0], content="a" * 64, **WAITS)
    change(driver, state=state, attempts=2, reason="series_not_formed", detail="text")
    later = driver.clock.advance(seconds=5)
    read_again(driver)

    (row,) = rows(driver)
    assert (row.state, row.began_at, row.changed_at, row.attempts) == ("collecting", later, later, 2)
    assert (row.reason, row.detail) == (None, None)


def test_a_slice_that_is_analysed_again_changes_its_series(series_driver: SeriesDriver) -> None:
    """It was read before, but it has a result now."""
    driver = series_driver.ledger_driver
    series_driver.record([0], content="a" * 64, **WAITS)
    later = driver.clock.advance(seconds=5)
    (batch,) = driver.form()
    driver.analyse(batch, bundle_id=series_driver.bundle_id, content="a" * 64, facts=facts())

    assert [row.changed_at for row in rows(driver)] == [later]


def test_a_note_that_withdraws_images_changes_all_series_of_its_study(series_driver: SeriesDriver) -> None:
    """And none of other studies. Other annotations change none."""
    driver = series_driver.ledger_driver
    began = driver.clock()
    for study in (STUDY, "1.9"):
        series_driver.record([0], study=study)
    failed_series(driver)
    later = driver.clock.advance(seconds=5)
    note = {"state": State.DONE, "bundle_id": None, "facts": Facts()}
    record(driver, {**note, "annotations": Annotations(counts={STUDY: 3})})
    assert states(driver) == ["failed", "failed"]
    withdrawal = Withdrawal(study_instance_uid=STUDY, code="113037", sop_instance_uids=("1.2.9",))
    record(driver, note, {**note, "annotations": Annotations(withdrawal=withdrawal)})

    assert [(row.state, row.changed_at, row.attempts) for row in rows(driver)] == [
        ("collecting", later, 0),
        ("failed", began, 3),
    ]


def test_a_cancelled_slice_changes_its_series(series_driver: SeriesDriver) -> None:
    """The series no longer waits for it."""
    driver = series_driver.ledger_driver
    (image,) = series_driver.record([0], content="a" * 64, **WAITS)
    failed_series(driver)
    later = driver.clock.advance(seconds=5)
    assert ledger.cancel(driver.database, [image], actor="ann", now=later) == [image]

    assert [(row.state, row.changed_at) for row in rows(driver)] == [("collecting", later)]


def test_the_series_of_a_patient_who_opted_out_meanwhile_is_removed(series_driver: SeriesDriver) -> None:
    """Of images that were read before; that of another patient stays, and new images of the batch have none."""
    driver = series_driver.ledger_driver
    mine, other = "1" * 64, "2" * 64
    later = driver.clock() + LEASE
    for uid, key in (("1.1", mine), ("1.2", other)):
        known = {"content": key, "facts": {"patient_key": key}, "not_before": later}
        series_driver.record([0], series=uid, **known, **WAITS)
    driver.clock.now = later
    driver.register(build_arrivals(1))
    ledger.add_opt_out(driver.database, [mine], number_key=None, key_id="k", actor="ann", now=later)
    (batch,) = driver.form()
    outcomes: list[Outcome] = [
        build_outcome(image, bundle_id=series_driver.bundle_id, content=key, facts=facts(uid, patient_key=key))
        for image, uid, key in zip(driver.claim(batch), ("1.1", "1.2", "1.3"), (mine, other, mine), strict=True)
    ]
    driver.record(batch, outcomes)

    assert driver.states() == ["rejected", "done", "rejected"]
    assert [row.series_instance_uid for row in rows(driver)] == ["1.2"]
