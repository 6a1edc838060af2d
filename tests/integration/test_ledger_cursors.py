"""A store's cursor and the arrivals before it are one commit."""

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError

from db import ledger
from db.ledger import Arrival, Cursor, Registered


def register_and_move(
    ledger_driver: LedgerDriver, cursor: Cursor, arrivals: list[Arrival], *, priority: int = 5
) -> Registered:
    """Register arrivals and move the cursor."""
    return ledger.register_and_move(
        ledger_driver.database,
        source_id=ledger_driver.source_id,
        arrivals=arrivals,
        cursor=cursor,
        priority=priority,
        now=ledger_driver.clock(),
    )


def test_the_last_cursor_is_read_back(ledger_driver: LedgerDriver) -> None:
    """It is None at first, and it moves with or without arrivals."""
    assert ledger.cursor_of(ledger_driver.database, ledger_driver.source_id) is None
    assert register_and_move(ledger_driver, {"last": 3}, build_arrivals(2), priority=1) == Registered(new=2, changed=0)
    assert ledger.cursor_of(ledger_driver.database, ledger_driver.source_id) == {"last": 3}
    assert [row.priority for row in ledger_driver.work()] == [1, 1]
    assert register_and_move(ledger_driver, {"last": 4, "studies": {"a": [1, 2]}}, []) == Registered(new=0, changed=0)
    assert ledger.cursor_of(ledger_driver.database, ledger_driver.source_id) == {"last": 4, "studies": {"a": [1, 2]}}


def test_arrivals_that_are_read_again_are_known(ledger_driver: LedgerDriver) -> None:
    """A cursor that goes back registers no image twice."""
    arrivals = build_arrivals(3)
    register_and_move(ledger_driver, {"last": 3}, arrivals)
    assert register_and_move(ledger_driver, {"last": 1}, arrivals[:1]) == Registered(new=0, changed=0)
    assert len(ledger_driver.instances()) == 3


def test_a_failed_commit_changes_neither(ledger_driver: LedgerDriver) -> None:
    """Otherwise the arrivals would never be registered, because the cursor is behind them."""
    register_and_move(ledger_driver, {"last": 1}, build_arrivals(1))

    def fail(*_: object) -> None:
        raise DatabaseError("the disk is full", None, Exception())

    event.listen(ledger_driver.database.writer, "commit", fail)
    with pytest.raises(DatabaseError):
        register_and_move(ledger_driver, {"last": 2}, build_arrivals(1))
    event.remove(ledger_driver.database.writer, "commit", fail)
    assert ledger.cursor_of(ledger_driver.database, ledger_driver.source_id) == {"last": 1}
    assert len(ledger_driver.instances()) == 1
