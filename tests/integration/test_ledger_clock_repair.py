"""Each kind of time in the future is repaired beyond its own limit, and not at it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from ledger_driver import LEASE, LedgerDriver, build_arrivals
from sqlalchemy import Table, select, update

from db import ledger
from db.ledger import Cause
from db.store_tables import pauses
from db.tables import State, batches, work, workers

WAIT = timedelta(minutes=10)
SKEW, SECOND = timedelta(seconds=60), timedelta(seconds=1)


def repair(ledger_driver: LedgerDriver) -> int:
    return ledger.clamp_future_times(ledger_driver.database, lease=LEASE, longest_wait=WAIT, now=ledger_driver.clock())


def put(ledger_driver: LedgerDriver, table: Table, column: str, when: datetime) -> None:
    """Set this time in all rows of a table."""
    ledger_driver.database.write(lambda connection: connection.execute(update(table).values({column: when})))


def read(ledger_driver: LedgerDriver, table: Table, column: str) -> list[Any]:
    with ledger_driver.database.read() as connection:
        return list(connection.execute(select(table.c[column])).scalars())


def check(ledger_driver: LedgerDriver, table: Table, column: str, limit: timedelta, becomes: timedelta) -> None:
    """At the limit a time stays; a second later it is repaired, once."""
    now = ledger_driver.clock()
    put(ledger_driver, table, column, now + limit)
    assert repair(ledger_driver) == 0
    assert read(ledger_driver, table, column) == [now + limit]
    put(ledger_driver, table, column, now + limit + SECOND)
    assert repair(ledger_driver) == 1
    assert read(ledger_driver, table, column) == [now + becomes]
    assert repair(ledger_driver) == 0


def test_a_lease_may_end_in_two_leases(ledger_driver: LedgerDriver) -> None:
    """A longer one becomes one lease."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.claim(ledger_driver.form()[0])
    check(ledger_driver, work, "lease_until", 2 * LEASE, LEASE)


def test_a_pause_before_a_retry_may_be_a_minute_longer_than_the_longest(ledger_driver: LedgerDriver) -> None:
    """A longer one becomes the longest."""
    ledger_driver.register(build_arrivals(1))
    check(ledger_driver, work, "not_before", WAIT + SKEW, WAIT)


def test_a_heartbeat_may_be_a_minute_ahead(ledger_driver: LedgerDriver) -> None:
    """A later one becomes now."""
    ledger.heartbeat(
        ledger_driver.database,
        node="w1",
        boot_id="b",
        slots=1,
        device="",
        release="",
        now=ledger_driver.clock(),
    )
    check(ledger_driver, workers, "heartbeat_at", SKEW, timedelta())


def test_an_unclaimed_batch_may_be_a_minute_ahead(ledger_driver: LedgerDriver) -> None:
    """A later one becomes now."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.form()
    check(ledger_driver, batches, "created_at", SKEW, timedelta())


@pytest.mark.parametrize("column", ["began_at", "probed_at", "ended_at"])
def test_times_of_a_pause_may_be_a_minute_ahead(ledger_driver: LedgerDriver, column: str) -> None:
    """Later ones become now."""
    ledger.pause(ledger_driver.database, Cause.BREAKER, detail="", now=ledger_driver.clock())
    check(ledger_driver, pauses, column, SKEW, timedelta())


def test_times_that_decide_nothing_are_left_alone(ledger_driver: LedgerDriver) -> None:
    """The creation of a claimed and of a finished batch, the pause of a queued image, and the lease of a done one."""
    ledger_driver.register(build_arrivals(3))
    claimed, finished, queued = ledger_driver.form(images=1)
    ledger_driver.analyse(finished)
    ledger_driver.claim(claimed)
    far = ledger_driver.clock() + timedelta(days=1)
    put(ledger_driver, batches, "created_at", far)
    put(ledger_driver, work, "not_before", far)
    ledger_driver.database.write(
        lambda connection: connection.execute(update(work).where(work.c.state != State.RUNNING).values(lease_until=far))
    )
    assert repair(ledger_driver) == 1
    with ledger_driver.database.read() as connection:
        rows = connection.execute(select(batches.c.id, batches.c.created_at)).all()
    assert dict(rows) == {claimed.id: far, finished.id: far, queued.id: ledger_driver.clock()}  # type: ignore[arg-type]
    assert read(ledger_driver, work, "not_before") == [far] * 3


def test_an_image_in_the_past_is_not_touched(ledger_driver: LedgerDriver) -> None:
    """Leases and pauses that ended are taken back by the sweep and the dispatcher."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.claim(ledger_driver.form()[0])
    ledger_driver.clock.advance(days=1)
    before = read(ledger_driver, work, "lease_until")
    assert repair(ledger_driver) == 0
    assert read(ledger_driver, work, "lease_until") == before
