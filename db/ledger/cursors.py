"""Store how far a store was read, in the same commit as its arrivals."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from db.engine import Database
from db.ledger.arrivals import register_within
from db.ledger.values import Arrival, Registered
from db.tables import sources

Cursor = Mapping[str, Any]
"""How far a store was read, as JSON that only its poller interprets (producer.stores.orthanc,
producer.stores.dicomweb)."""


def cursor_of(database: Database, source_id: int) -> Cursor | None:
    """Return the latest cursor of this source; None if the source was never read."""
    with database.read() as connection:
        cursor: Cursor | None = connection.execute(_CURSOR, {"source": source_id}).scalar()
    return cursor


def register_and_move(
    database: Database,
    *,
    source_id: int,
    arrivals: Sequence[Arrival],
    cursor: Cursor,
    priority: int,
    now: datetime,
) -> Registered:
    """Register arrivals and move the source's cursor behind them, in one transaction.

    If the process dies, either both are stored or neither is. A backup of the database also contains the cursor: after
    a restore, the store is read again from where it was read at the time of the backup.
    """

    def transaction(connection: Connection) -> Registered:
        done = Registered(new=0, changed=0)
        if arrivals:
            done = register_within(connection, source_id=source_id, arrivals=arrivals, priority=priority, now=now)
        connection.execute(_MOVE, {"source": source_id, "to": dict(cursor)})
        return done

    return database.write_bulk(transaction)


_CURSOR = select(sources.c.cursor).where(sources.c.id == bindparam("source"))
_MOVE = update(sources).where(sources.c.id == bindparam("source")).values(cursor=bindparam("to"))
