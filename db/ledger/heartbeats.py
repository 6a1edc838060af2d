"""Store the heartbeats of all parts except workers; db.ledger.workers stores theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, insert, update

from db.engine import Database
from db.store_tables import NODE_LENGTH, heartbeats
from db.tables import audit, workers

HEARTBEAT_SECONDS = 10.0
"""Interval of the heartbeats."""
FORGOTTEN_AFTER = timedelta(days=7)
"""A part without a heartbeat for this long counts as removed."""
FORGET_AFTER = timedelta(seconds=60)
"""A part with a heartbeat younger than this may be alive, so a person cannot remove its row."""


class PartKind(StrEnum):
    """The parts of nightread; the value is the word that the database, `status` and the metrics use."""

    SUPERVISOR = "up"
    WATCHER = "watcher"
    RECEIVER = "receiver"
    POLLER = "poller"
    DISPATCHER = "dispatcher"
    WORKER = "worker"
    SENDER = "sender"
    WATCHDOG = "watchdog"
    API = "api"
    FLOWER = "flower"
    REDIS = "redis"


@dataclass(frozen=True, kw_only=True, slots=True)
class Heartbeat:
    """One heartbeat of a part."""

    part: PartKind
    node: str
    """Host of the part; a digest of what the part serves follows if a host may have several such parts."""
    boot_id: str
    """A new id at each start, so that a start after a crash is noticed."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    worked_at: datetime | None = None
    """When its main loop last began a round; None if this is not measured."""
    stopped: bool = False
    """True if another part reports that this part was stopped on purpose."""


def record_heartbeats(
    database: Database, beats: Sequence[Heartbeat], *, now: datetime, ahead_seconds: float = 0.0
) -> None:
    """Store that these parts are alive.

    `now` is the time of this host, whose clock is `ahead_seconds` ahead of the clock of the database. If the stored row
    has another `boot_id` and was not stopped on purpose, the earlier start crashed: its last heartbeat becomes
    `crashed_at`.
    """

    def transaction(connection: Connection) -> None:
        for beat in beats:
            if beat.stopped:
                connection.execute(_STOP, {"p": beat.part.value, "b": beat.boot_id, "at": now})
                continue
            values = {
                "b_part": beat.part.value,
                "b_node": beat.node[:NODE_LENGTH],
                "boot_id": beat.boot_id,
                "detail": dict(beat.detail),
                "heartbeat_at": now,
                "ahead_seconds": ahead_seconds,
                "worked_at": beat.worked_at,
            }
            if connection.execute(_CONTINUE, {**values, "b_boot": beat.boot_id}).rowcount:
                continue
            if connection.execute(_RESTART, values).rowcount:
                continue
            row = {name: value for name, value in values.items() if not name.startswith("b_")}
            connection.execute(
                insert(heartbeats),
                {
                    **row,
                    "part": values["b_part"],
                    "node": values["b_node"],
                    "started_at": now,
                    "first_started_at": now,
                },
            )

    database.write(transaction)


def record_stop(database: Database, *, part: PartKind, boot_id: str, now: datetime) -> None:
    """Store that the part with this `boot_id` was stopped on purpose, unless a new start has replaced its row."""
    values = {"p": part.value, "b": boot_id, "at": now}
    database.write(lambda connection: connection.execute(_STOP, values))


def forget_parts(database: Database, *, now: datetime) -> int:
    """Remove the rows of parts without a heartbeat for seven days. Returns the number of rows."""
    statement = delete(heartbeats).where(heartbeats.c.heartbeat_at < bindparam("before"))
    return database.write(lambda connection: connection.execute(statement, {"before": now - FORGOTTEN_AFTER}).rowcount)


def forget_part(database: Database, node: str, *, part: PartKind | None = None, actor: str, now: datetime) -> list[str]:
    """Remove the rows of dead parts with the name `node`, because a person has removed these parts for good.

    Without `part`, parts of every kind are removed. The audit table gets an entry. Returns the kinds of removed parts.
    """

    def transaction(connection: Connection) -> list[str]:
        named = (heartbeats.c.node == node, heartbeats.c.heartbeat_at < now - FORGET_AFTER)
        of_kind = () if part is None else (heartbeats.c.part == part.value,)
        found = delete(heartbeats).where(*named, *of_kind).returning(heartbeats.c.part)
        removed = sorted(connection.execute(found).scalars())
        if part in (None, PartKind.WORKER):
            silent = (workers.c.node == node, workers.c.heartbeat_at < now - FORGET_AFTER)
            removed += [PartKind.WORKER.value] * connection.execute(delete(workers).where(*silent)).rowcount
        if removed:
            entry = {"at": now, "actor": actor, "action": "part.forget", "detail": {"node": node, "parts": removed}}
            connection.execute(insert(audit).values(**entry))
        return removed

    return database.write(transaction)


def forget_all_parts(database: Database) -> None:
    """Remove all heartbeats from a restored database: the processes that wrote them no longer exist."""

    def transaction(connection: Connection) -> None:
        connection.execute(delete(heartbeats))
        connection.execute(delete(workers))

    database.write(transaction)


_OF_PART = (heartbeats.c.part == bindparam("b_part"), heartbeats.c.node == bindparam("b_node"))
_FRESH = {
    name: bindparam(name, type_=heartbeats.c[name].type)
    for name in ("detail", "heartbeat_at", "ahead_seconds", "worked_at")
}
_CONTINUE = update(heartbeats).where(*_OF_PART, heartbeats.c.boot_id == bindparam("b_boot")).values(_FRESH)
_RESTART = (
    update(heartbeats)
    .where(*_OF_PART)
    .values(
        _FRESH
        | {
            "boot_id": bindparam("boot_id"),
            "started_at": bindparam("heartbeat_at", type_=heartbeats.c.heartbeat_at.type),
            "stopped_at": None,
            "crashed_at": case((heartbeats.c.stopped_at.is_(None), heartbeats.c.heartbeat_at)),
        }
    )
)
_STOP = (
    update(heartbeats)
    .where(
        heartbeats.c.part == bindparam("p"), heartbeats.c.boot_id == bindparam("b"), heartbeats.c.stopped_at.is_(None)
    )
    .values(stopped_at=bindparam("at", type_=heartbeats.c.stopped_at.type))
)
