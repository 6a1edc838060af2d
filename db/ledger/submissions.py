"""Register images that clients send to the HTTP API, and return their ids."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from db.engine import Database
from db.ledger.arrivals import register_within, uri_key
from db.ledger.senders import sender_ids
from db.ledger.values import Arrival
from db.tables import instances


def submit(
    database: Database, *, source_id: int, arrivals: Sequence[Arrival], priority: int, now: datetime
) -> dict[str, int]:
    """Register arrivals in one transaction, and return the id of each image by its URI.

    An arrival that is registered already keeps its row. The client may get a success response only if the database is
    durable (db.engine.open_database).
    """

    def transaction(connection: Connection) -> dict[str, int]:
        senders = sender_ids(connection, source_id, {arrival.sender for arrival in arrivals if arrival.sender})
        register_within(connection, source_id=source_id, arrivals=arrivals, priority=priority, now=now, senders=senders)
        keys = [uri_key(arrival.uri) for arrival in arrivals]
        return {row.uri: row.id for row in connection.execute(_IDS, {"source": source_id, "keys": keys})}

    return database.write_bulk(transaction)


_IDS = select(instances.c.id, instances.c.uri).where(
    instances.c.source_id == bindparam("source"), instances.c.uri_key.in_(bindparam("keys", expanding=True))
)
