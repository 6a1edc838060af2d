"""Repair times in the future, which appear when a clock was set back."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, select, update

from db.engine import Database
from db.store_tables import pauses
from db.tables import IN_BATCH, State, batches, in_state, work, workers

_SKEW = timedelta(seconds=60)
"""Times that are less than this in the future are not repaired, because the clocks of hosts may differ a little."""


def clamp_future_times(database: Database, *, lease: timedelta, longest_wait: timedelta, now: datetime) -> int:
    """Replace times that are too far in the future. Returns the number of repaired rows.

    A lease that lasts longer than twice `lease` from now is cut to `lease`. A retry pause longer than `longest_wait` is
    cut to `longest_wait`. Future times of workers' heartbeats, unclaimed batches and pauses become `now`.
    """
    bounds = {
        "now": now,
        "lease": now + lease,
        "late_lease": now + 2 * lease,
        "wait": now + longest_wait,
        "late_wait": now + longest_wait + _SKEW,
        "late": now + _SKEW,
    }

    def transaction(connection: Connection) -> int:
        return sum(connection.execute(_correct(*wrong), bounds).rowcount for wrong in _WRONG)

    with database.read() as connection:
        if not any(connection.execute(_any(*wrong), bounds).first() for wrong in _WRONG):
            return 0
    return database.write(transaction)


def _any(table: Table, wrong: ColumnElement[bool], _column: str, _to: str) -> Any:
    return select(table.primary_key.columns[0]).where(wrong).limit(1)


def _correct(table: Table, wrong: ColumnElement[bool], column: str, to: str) -> Any:
    return update(table).where(wrong).values({column: bindparam(to, type_=table.c[column].type)})


_WRONG: tuple[tuple[Table, ColumnElement[bool], str, str], ...] = (
    (
        work,
        IN_BATCH & in_state(State.RUNNING) & (work.c.lease_until > bindparam("late_lease")),
        "lease_until",
        "lease",
    ),
    (work, in_state(State.RECEIVED) & (work.c.not_before > bindparam("late_wait")), "not_before", "wait"),
    (workers, workers.c.heartbeat_at > bindparam("late"), "heartbeat_at", "now"),
    (
        batches,
        batches.c.finished_at.is_(None) & batches.c.claimed_at.is_(None) & (batches.c.created_at > bindparam("late")),
        "created_at",
        "now",
    ),
    (pauses, pauses.c.began_at > bindparam("late"), "began_at", "now"),
    (pauses, pauses.c.probed_at > bindparam("late"), "probed_at", "now"),
    (pauses, pauses.c.ended_at > bindparam("late"), "ended_at", "now"),
)
