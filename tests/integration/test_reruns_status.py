"""`nightread status` shows the images that wait for a re-run, and its counts and forecast leave them out."""

from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import delete

from api.status import take_status
from cli.reruns.status_line import rerun_line
from db import ledger, queries
from db.queries import WaitingRerun
from db.tables import State, audit
from nightread.nights import nights_of
from nightread.reasons import Reason
from nightread.settings import load_settings

_OF_THE_HOST = {"disk", "headline", "problems"}
"""What tells of free space, which other processes use, and of the real time of the database's host."""


@pytest.fixture
def analysed(ledger_driver: LedgerDriver, bundle_id: int) -> LedgerDriver:
    """Three analysed images and one that waits for its first analysis."""
    ledger_driver.register(build_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id)
    ledger_driver.register(build_arrivals(1))
    ledger_driver.clock.advance(minutes=1)
    return ledger_driver


@pytest.fixture
def trial_id(ledger_driver: LedgerDriver) -> int:
    """The bundle of the re-run, `t@1`."""
    return ledger_driver.register_trial_bundle()


def order(driver: LedgerDriver, images: list[int], *bundle_ids: int) -> None:
    """Order a re-run."""
    ledger.plan_rerun(driver.database, images, bundle_ids, shadow=True, actor="ann", now=driver.clock())


def analyse_one(driver: LedgerDriver, **fields: Any) -> None:
    """Analyse the first image that waits for a re-run; the image that waits for its first analysis stays."""
    for batch in ledger.form_batches(driver.database, count=9, images=1, max_bytes=2**40, now=driver.clock()):
        images = driver.claim(batch)
        if images[0].rerun_bundle_id is None:
            continue
        outcomes = [build_outcome(image, **fields) for image in images]
        ledger.record_rerun(driver.database, batch.id, outcomes, seconds={}, release="t", now=driver.clock())
        return


def status(driver: LedgerDriver, folder: Path) -> dict[str, Any]:
    """Return the object of `nightread status --json`."""
    settings = load_settings(None, state_dir=folder)
    found = take_status(driver.database, settings, nights_of(settings), driver.clock()).to_json(settings)
    return {name: value for name, value in found.items() if name not in _OF_THE_HOST}


def lines(driver: LedgerDriver) -> list[str]:
    """Return the lines for people."""
    return [rerun_line(each) for each in queries.waiting_reruns(driver.database)]


def test_the_line_has_number_model_and_counts(analysed: LedgerDriver, trial_id: int, tmp_path: Path) -> None:
    """Nothing else of the status changes: neither counts nor the forecast."""
    before = status(analysed, tmp_path)
    assert before["reruns"] == []
    order(analysed, [1, 2, 3], trial_id)
    after = status(analysed, tmp_path)
    (shown,) = after.pop("reruns")
    assert after == {name: value for name, value in before.items() if name != "reruns"}
    (entry,) = [row for row in _entries(analysed) if row.action == "images.rerun"]
    assert shown == {
        "number": entry.id,
        "model": "t@1",
        "waiting": 3,
        "images": 3,
        "ordered_at": analysed.clock().isoformat(),
    }
    analyse_one(analysed)
    assert lines(analysed) == [f"Re-run {entry.id} with t@1: 2 of 3 images are waiting."]


def test_an_image_belongs_to_the_latest_rerun_that_ordered_it(
    analysed: LedgerDriver, bundle_id: int, trial_id: int
) -> None:
    """A failed image that is ordered again counts there, and each model has a line; done ones have none."""
    order(analysed, [1, 2], trial_id)
    analyse_one(analysed, state=State.FAILED, reason=Reason.MODEL_MISSING)
    analysed.clock.advance(minutes=1)
    other = {"name": "other", "version": "2", "digest": "o" * 64, "labels": ["a"], "normal_label": None}
    other_id = ledger.register_bundle(analysed.database, now=analysed.clock(), **other)  # type: ignore[arg-type]
    order(analysed, [1, 3], trial_id, other_id)
    first, second = (row.id for row in _entries(analysed) if row.action == "images.rerun")
    assert lines(analysed) == [
        f"Re-run {second} with t@1: 2 of 2 images are waiting.",
        f"Re-run {second} with other@2: 2 of 2 images are waiting.",
        f"Re-run {first} with t@1: 1 of 2 images is waiting.",
    ]
    assert _entries(analysed)[-1].detail["images"] == [1, 3]
    assert bundle_id not in _entries(analysed)[-1].detail["bundles"]


def test_a_rerun_of_many_images_is_one(analysed: LedgerDriver, trial_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has several entries in the audit table, one for each thousand images."""
    monkeypatch.setattr("db.ledger.reruns._IMAGES_AT_ONCE", 1)
    order(analysed, [1, 2, 3], trial_id)
    number = min(row.id for row in _entries(analysed) if row.action == "images.rerun")
    assert lines(analysed) == [f"Re-run {number} with t@1: 3 of 3 images are waiting."]


def test_images_without_an_entry_are_counted_too(analysed: LedgerDriver, trial_id: int) -> None:
    """An earlier release did not name the images that were analysed again after a failure."""
    order(analysed, [1], trial_id)
    with analysed.database.writer.begin() as connection:
        connection.execute(delete(audit))
    expected = WaitingRerun(number=None, model="t@1", waiting=1, images=None, ordered_at=None)
    assert queries.waiting_reruns(analysed.database) == [expected]
    assert lines(analysed) == ["Re-run with t@1: 1 image is waiting."]


def _entries(driver: LedgerDriver) -> list[Any]:
    with driver.database.read() as connection:
        return list(connection.execute(audit.select().order_by(audit.c.id)))
