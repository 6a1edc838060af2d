"""Store heartbeats of workers, and which workers drain."""

from datetime import datetime
from typing import NotRequired, TypedDict, Unpack

from sqlalchemy import Connection, Update, bindparam, delete, func, insert, select, update

from db.engine import Database
from db.tables import MODEL_LENGTH, audit, batches, workers


class WorkerFacts(TypedDict):
    """What a worker reports with each heartbeat."""

    slots: int
    """Number of its processes."""
    starting: NotRequired[int]
    """Number of processes that still load their models."""
    model: NotRequired[str | None]
    """The model that analyses every image; None if the routing rules decide."""
    device: str
    release: str
    ahead_seconds: NotRequired[float]
    """How far the clock of its host is ahead of the clock of the database."""


def heartbeat(database: Database, *, node: str, boot_id: str, now: datetime, **facts: Unpack[WorkerFacts]) -> None:
    """Store the heartbeat of a worker, with what the worker reports about itself.

    If the stored row has another `boot_id`, a new row replaces it. The earlier start has then crashed, because a worker
    that ends removes its own row.
    """
    model = (facts.get("model") or "")[:MODEL_LENGTH] or None
    values = {"starting": 0, **facts, "model": model, "boot_id": boot_id, "heartbeat_at": now}

    def transaction(connection: Connection) -> None:
        known = connection.execute(update(workers).where(workers.c.node == node, workers.c.boot_id == boot_id), values)
        if known.rowcount == 0:
            dead = connection.execute(select(workers).where(workers.c.node == node)).one_or_none()
            first = dead.first_started_at if dead else connection.execute(_FIRST_BATCH, {"n": node}).scalar()
            connection.execute(delete(workers).where(workers.c.node == node))
            times = {"started_at": now, "first_started_at": first or now}
            row = {"node": node, **times, "crashed_at": dead.heartbeat_at if dead else None, **values}
            connection.execute(insert(workers), row)

    database.write(transaction)


def drain(database: Database, node: str, *, actor: str, now: datetime) -> bool:
    """Let a worker finish its batches and take no more until it is restarted, or `end_drain` is called.

    The audit table gets an entry. Returns False if the worker drains already or is unknown.
    """
    changes = update(workers).where(workers.c.node == node, workers.c.draining_at.is_(None)).values(draining_at=now)
    return _change(database, changes, "worker.drain", node, actor=actor, now=now)


def end_drain(database: Database, node: str, *, actor: str, now: datetime) -> bool:
    """Let a worker take batches again. The audit table gets an entry. Returns False if the worker does not drain."""
    changes = update(workers).where(workers.c.node == node, workers.c.draining_at.is_not(None)).values(draining_at=None)
    return _change(database, changes, "worker.drain_end", node, actor=actor, now=now)


def note_shutdown(database: Database, *, node: str, boot_id: str, now: datetime) -> None:
    """Store that a worker drains, because it was told to end after its batches."""
    values = {"n": node, "b": boot_id, "at": now}
    database.write(lambda connection: connection.execute(_SHUTDOWN, values))


def is_draining(database: Database, *, node: str, boot_id: str) -> bool:
    """Return whether this worker must take no more batches."""
    with database.read() as connection:
        return connection.execute(_DRAINING, {"n": node, "b": boot_id}).first() is not None


def deregister(database: Database, *, node: str, boot_id: str) -> None:
    """Remove a worker that ends, so that its slots no longer count."""
    statement = delete(workers).where(workers.c.node == bindparam("n"), workers.c.boot_id == bindparam("b"))
    database.write(lambda connection: connection.execute(statement, {"n": node, "b": boot_id}))


def _change(database: Database, changes: Update, action: str, node: str, *, actor: str, now: datetime) -> bool:
    def transaction(connection: Connection) -> bool:
        changed = connection.execute(changes).rowcount > 0
        if changed:
            connection.execute(insert(audit).values(at=now, actor=actor, action=action, detail={"node": node}))
        return changed

    return database.write(transaction)


_OWN = (workers.c.node == bindparam("n"), workers.c.boot_id == bindparam("b"))
_SHUTDOWN = (
    update(workers)
    .where(*_OWN, workers.c.draining_at.is_(None))
    .values(draining_at=bindparam("at", type_=workers.c.draining_at.type))
)
_DRAINING = select(workers.c.node).where(*_OWN, workers.c.draining_at.is_not(None))
_FIRST_BATCH = select(func.min(batches.c.claimed_at)).where(batches.c.node == bindparam("n"))
