"""Retries and cancellations, as the ledger stores them: chunks, entries of the audit, and what a retry resets."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from series_driver import SeriesDriver
from sqlalchemy import select, update

from db import ledger
from db.series_tables import series
from db.tables import State, audit, work
from nightread.reasons import Reason

FAILED = {"state": State.FAILED, "reason": Reason.IO_ERROR}
UNKNOWN = range(10_000, 12_000)
MANY = [1, *UNKNOWN[:998], 2, 3, *UNKNOWN[998:1997], 4]
"""More than two thousand ids: the first and the last of the first thousand are known, and the first of the others."""


def entries(driver: LedgerDriver) -> list[tuple[Any, ...]]:
    """Return time, actor, action and detail of the audit, oldest first."""
    statement = select(audit.c.at, audit.c.actor, audit.c.action, audit.c.detail).order_by(audit.c.id)
    with driver.database.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def change(driver: LedgerDriver, **values: Any) -> None:
    """Set these columns of all rows of work."""
    driver.database.write(lambda connection: connection.execute(update(work).values(**values)))


def test_each_thousand_retried_images_have_an_entry_of_the_audit(ledger_driver: LedgerDriver) -> None:
    """If any of them was retried, with its state, reason and attempts."""
    ledger_driver.register(build_arrivals(5))
    ledger_driver.analyse_all(**FAILED)
    now = ledger_driver.clock.advance(seconds=5)
    assert ledger.retry(ledger_driver.database, MANY, actor="ann", now=now) == 4
    assert ledger.retry(ledger_driver.database, MANY, actor="ann", now=now) == 0

    retried = [[image, "failed", "io_error", 1] for image in (1, 2, 3, 4)]
    assert entries(ledger_driver) == [
        (now, "ann", "images.retry", {"images": images}) for images in (retried[:2], retried[2:3], retried[3:])
    ]
    assert ledger_driver.states() == ["received"] * 4 + ["failed"]


def test_each_thousand_cancelled_images_have_an_entry_of_the_audit(ledger_driver: LedgerDriver) -> None:
    """If any of them was cancelled; their ids are returned in ascending order."""
    ledger_driver.register(build_arrivals(5))
    now = ledger_driver.clock.advance(seconds=5)
    swapped = [*MANY[1000:2000], *MANY[:1000], *MANY[2000:]]
    assert ledger.cancel(ledger_driver.database, swapped, actor="ann", now=now) == [1, 2, 3, 4]
    assert ledger.cancel(ledger_driver.database, MANY, actor="ann", now=now) == []

    assert entries(ledger_driver) == [
        (now, "ann", "images.cancel", {"images": images}) for images in ([3], [1, 2], [4])
    ]
    assert ledger_driver.states() == ["rejected"] * 4 + ["received"]
    assert [row.finished_at for row in ledger_driver.work()] == [now] * 4 + [None]


def test_a_retried_image_keeps_nothing_of_its_attempts(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Nothing of the rule that chose its bundle either."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(**FAILED, detail="text", bundle_id=bundle_id, content="a" * 64)
    now = ledger_driver.clock()
    counts = {"attempts": 3, "deaths": 1, "expiries": 2}
    change(ledger_driver, **counts, not_before=now, tried_since=now, route_id=1, matched={"modality": "CT"})
    ledger.retry(ledger_driver.database, [1], actor="ann", now=now)

    (row,) = ledger_driver.work()
    assert [getattr(row, name) for name in ("state", "alone", *counts)] == ["received", False, 0, 0, 0]
    empty = ("reason", "detail", "finished_at", "not_before", "tried_since", "batch_id", "bundle_id", "route_id")
    assert [getattr(row, name) for name in (*empty, "matched", "lease_until")] == [None] * 10


@pytest.mark.parametrize("reason", [Reason.KILLED_WORKER, Reason.TIMEOUT, Reason.OUT_OF_MEMORY])
def test_a_dangerous_image_comes_alone(ledger_driver: LedgerDriver, reason: Reason) -> None:
    """One that came alone before does so again, whatever its reason, and without any."""
    ledger_driver.register(build_arrivals(3))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    common = {"state": State.FAILED, "size": None}
    outcomes = [ledger.Outcome(work_id=image.work_id, instance_id=image.instance_id, **common) for image in images]  # type: ignore[arg-type]
    ledger_driver.record(batch, [outcomes[0]._replace(reason=reason), outcomes[1]._replace(alone=True), outcomes[2]])
    assert ledger.retry(ledger_driver.database, [1, 2, 3], actor="ann", now=ledger_driver.clock()) == 3

    assert [row.alone for row in ledger_driver.work()] == [True, True, False]


@pytest.mark.parametrize(("state", "expected"), [("failed", "collecting"), ("due", "due")])
def test_the_failed_series_of_a_retried_image_collects(
    ledger_driver: LedgerDriver, tmp_path: Path, state: str, expected: str
) -> None:
    """From the beginning; a series that has not failed stays as it is."""
    driver = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)
    driver.record([0])
    (image,) = driver.record([5], state=State.FAILED, reason=Reason.IO_ERROR, content="a" * 64)
    at = ledger_driver.clock()
    known = update(series).values(state=state, reason="series_not_formed", attempts=3)
    ledger_driver.database.write(lambda connection: connection.execute(known))
    later = at + timedelta(seconds=5)
    ledger.retry(ledger_driver.database, [image], actor="ann", now=later)

    with ledger_driver.database.read() as connection:
        row = connection.execute(select(series)).one()
    assert (row.state, row.changed_at) == (expected, later if expected == "collecting" else at)
    assert row.attempts == (0 if expected == "collecting" else 3)
