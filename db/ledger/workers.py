"""Store heartbeats of workers."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, update

from db.engine import Database
from db.tables import workers


def heartbeat(
    database: Database,
    *,
    node: str,
    boot_id: str,
    slots: int,
    starting: int = 0,
    device: str,
    release: str,
    now: datetime,
) -> None:
    """Store that a worker is alive, with its number of processes and how many of them are still starting.

    A new `boot_id` replaces the row of the worker's earlier start.
    """
    values = {
        "boot_id": boot_id,
        "slots": slots,
        "starting": starting,
        "device": device,
        "release": release,
        "heartbeat_at": now,
    }

    def transaction(connection: Connection) -> None:
        known = connection.execute(update(workers).where(workers.c.node == node, workers.c.boot_id == boot_id), values)
        if known.rowcount == 0:
            connection.execute(delete(workers).where(workers.c.node == node))
            connection.execute(insert(workers), {"node": node, "started_at": now, **values})

    database.write(transaction)


def deregister(database: Database, *, node: str, boot_id: str) -> None:
    """Remove a worker that ends, so that its slots no longer count."""
    statement = delete(workers).where(workers.c.node == bindparam("n"), workers.c.boot_id == bindparam("b"))
    database.write(lambda connection: connection.execute(statement, {"n": node, "b": boot_id}))
