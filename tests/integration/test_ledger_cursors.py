"""A store's cursor and the arrivals before it are one: the ledger has both or neither."""

import pytest
from night import Night, build_arrivals
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError

from db import ledger
from db.ledger import Arrival, Cursor, Registered


def move(night: Night, cursor: Cursor, arrivals: list[Arrival], *, priority: int = 5) -> Registered:
    """Register these, and be there."""
    return ledger.register_and_move(
        night.database,
        source_id=night.source_id,
        arrivals=arrivals,
        cursor=cursor,
        priority=priority,
        now=night.clock(),
    )


def test_the_cursor_is_where_it_was_left(night: Night) -> None:
    """None before the first time; with arrivals or without."""
    assert ledger.cursor_of(night.database, night.source_id) is None
    assert move(night, {"last": 3}, build_arrivals(2), priority=1) == Registered(new=2, changed=0)
    assert ledger.cursor_of(night.database, night.source_id) == {"last": 3}
    assert [row.priority for row in night.work()] == [1, 1]
    assert move(night, {"last": 4, "studies": {"a": [1, 2]}}, []) == Registered(new=0, changed=0)
    assert ledger.cursor_of(night.database, night.source_id) == {"last": 4, "studies": {"a": [1, 2]}}


def test_what_is_read_again_is_known(night: Night) -> None:
    """A cursor that goes back costs a look, and no image twice."""
    arrivals = build_arrivals(3)
    move(night, {"last": 3}, arrivals)
    assert move(night, {"last": 1}, arrivals[:1]) == Registered(new=0, changed=0)
    assert len(night.instances()) == 3


def test_a_commit_that_fails_leaves_both_as_they_were(night: Night) -> None:
    """Else the arrivals would lie behind the cursor, unregistered, for ever."""
    move(night, {"last": 1}, build_arrivals(1))

    def fail(*_: object) -> None:
        raise DatabaseError("the disk is full", None, Exception())

    event.listen(night.database.writer, "commit", fail)
    with pytest.raises(DatabaseError):
        move(night, {"last": 2}, build_arrivals(1))
    event.remove(night.database.writer, "commit", fail)
    assert ledger.cursor_of(night.database, night.source_id) == {"last": 1}
    assert len(night.instances()) == 1
