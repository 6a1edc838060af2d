"""Store heartbeats of workers."""

from datetime import datetime
from typing import NotRequired, TypedDict, Unpack

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from db.engine import Database
from db.tables import MODEL_LENGTH, workers


class WorkerFacts(TypedDict):
    """What a worker reports with each heartbeat."""

    slots: int
    """Number of its processes."""
    starting: NotRequired[int]
    """How many of them still load their models."""
    model: NotRequired[str | None]
    """The model that analyses every image; None if the routing rules decide."""
    device: str
    release: str
    ahead_seconds: NotRequired[float]
    """How far the clock of its host is ahead of the clock of the database."""


def heartbeat(database: Database, *, node: str, boot_id: str, now: datetime, **facts: Unpack[WorkerFacts]) -> None:
    """Store that a worker is alive, and its facts.

    A new `boot_id` replaces the row of the worker's earlier start, which died: a worker that ends removes its row.
    """
    model = (facts.get("model") or "")[:MODEL_LENGTH] or None
    values = {"starting": 0, **facts, "model": model, "boot_id": boot_id, "heartbeat_at": now}

    def transaction(connection: Connection) -> None:
        known = connection.execute(update(workers).where(workers.c.node == node, workers.c.boot_id == boot_id), values)
        if known.rowcount == 0:
            earlier = connection.execute(select(workers.c.heartbeat_at).where(workers.c.node == node)).scalar()
            connection.execute(delete(workers).where(workers.c.node == node))
            row = {"node": node, "started_at": now, "crashed_at": earlier, **values}
            connection.execute(insert(workers), row)

    database.write(transaction)


def deregister(database: Database, *, node: str, boot_id: str) -> None:
    """Remove a worker that ends, so that its slots no longer count."""
    statement = delete(workers).where(workers.c.node == bindparam("n"), workers.c.boot_id == bindparam("b"))
    database.write(lambda connection: connection.execute(statement, {"n": node, "b": boot_id}))
