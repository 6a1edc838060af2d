"""A worker is one row by its name, with what its latest heartbeat said and when it started first."""

from datetime import timedelta
from typing import Any

from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import select

from db import ledger
from db.ledger.workers import WorkerFacts
from db.tables import workers

FACTS: WorkerFacts = {"slots": 2, "device": "CPU", "release": "1"}


def _heartbeat(driver: LedgerDriver, *, boot_id: str = "boot-1", **others: Any) -> None:
    """Store a heartbeat of the worker that claims the batches of the driver."""
    known: dict[str, Any] = {**FACTS, **others}
    ledger.heartbeat(driver.database, node=driver.process.node, boot_id=boot_id, now=driver.clock(), **known)


def _row(driver: LedgerDriver) -> Any:
    """Return the only worker."""
    with driver.database.read() as connection:
        return connection.execute(select(workers)).one()


def test_a_worker_that_names_no_starting_process_has_none(ledger_driver: LedgerDriver) -> None:
    """Although its heartbeat before named some."""
    _heartbeat(ledger_driver, starting=2)
    assert _row(ledger_driver).starting == 2
    _heartbeat(ledger_driver)
    assert _row(ledger_driver).starting == 0


def test_a_worker_that_starts_again_keeps_its_first_start(ledger_driver: LedgerDriver) -> None:
    """Its row stayed, so that the start before has crashed: after its last heartbeat."""
    first = ledger_driver.clock()
    _heartbeat(ledger_driver)
    last = ledger_driver.clock.advance(seconds=10)
    _heartbeat(ledger_driver)
    row = _row(ledger_driver)
    assert (row.started_at, row.first_started_at, row.crashed_at) == (first, first, None)

    again = ledger_driver.clock.advance(hours=1)
    _heartbeat(ledger_driver, boot_id="boot-2")
    row = _row(ledger_driver)
    assert (row.started_at, row.first_started_at, row.crashed_at) == (again, first, last)


def test_a_worker_whose_row_was_removed_started_before_its_first_batch(ledger_driver: LedgerDriver) -> None:
    """The batches keep its name; those of other workers do not count."""
    ledger_driver.register(build_arrivals(3))
    begin = ledger_driver.clock()
    other = ledger.WorkerProcess(node="w2", boot_id="boot-9", index=0)
    for minutes, (batch, process) in enumerate(zip(ledger_driver.form(images=1), (other, None, None), strict=True)):
        ledger_driver.clock.now = begin + timedelta(minutes=minutes)
        ledger_driver.claim(batch, process=process)
    now = ledger_driver.clock.advance(days=1)
    _heartbeat(ledger_driver)

    row = _row(ledger_driver)
    assert (row.started_at, row.crashed_at) == (now, None)
    assert row.first_started_at == begin + timedelta(minutes=1)
