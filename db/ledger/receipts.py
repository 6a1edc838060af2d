"""Store receipts of a C-STORE receiver: one row per association."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, Executable, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from db.bulk import execute_many
from db.engine import Database
from db.ledger.arrivals import register_within
from db.ledger.senders import sender_ids
from db.ledger.values import Arrival, Registered
from db.store_tables import receipts


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The counts of one association, or of all refused associations of one caller in one hour."""

    association: str
    """A UUID that nightread assigns."""
    calling_ae: str
    address: str
    began_at: datetime
    ended_at: datetime | None
    received: int
    """Images that were committed; each is an arrival.

    The response was a success, or a failure if the commit took longer than 40 s.
    """
    refused: int
    """Images that got the response "out of resources" (A7xx): the sender should send them again."""
    failed: int
    """Images for which the response was another failure."""
    statuses: Mapping[str, int]
    """Number of responses by DIMSE status (four hex digits); successes are left out.

    A key such as `aborted` counts the associations that ended in this way (producer.cstore.association_end).
    """


def receive(
    database: Database,
    *,
    source_id: int,
    arrivals: Sequence[Arrival],
    associations: Sequence[Receipt],
    priority: int,
    now: datetime,
) -> Registered:
    """Register arrivals and update the receipts of their associations, in one transaction.

    The sender may get a success response only if the database is durable (db.engine.open_database).
    """

    def transaction(connection: Connection) -> Registered:
        rows = [_row(receipt, source_id) for receipt in associations]
        execute_many(connection, _upsert(connection.dialect.name), _COLUMNS, rows)
        senders = sender_ids(connection, source_id, {arrival.sender for arrival in arrivals if arrival.sender})
        return register_within(
            connection, source_id=source_id, arrivals=arrivals, priority=priority, now=now, senders=senders
        )

    return database.write_bulk(transaction)


def end_receipts(database: Database, source_id: int, *, now: datetime) -> int:
    """End the open receipts of a receiver of this source that died earlier. Returns their number."""
    return database.write(lambda connection: connection.execute(_END, {"source": source_id, "now": now}).rowcount)


def _row(receipt: Receipt, source_id: int) -> tuple[object, ...]:
    """Return the values in the order of _COLUMNS."""
    return (
        source_id,
        receipt.association,
        receipt.calling_ae,
        receipt.address,
        receipt.began_at,
        receipt.ended_at,
        receipt.received,
        receipt.refused,
        receipt.failed,
        dict(receipt.statuses),
    )


@cache
def _upsert(dialect: str) -> Executable:
    statement = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(receipts)
    changing = ("ended_at", "received", "refused", "failed", "statuses")
    return statement.on_conflict_do_update(
        index_elements=[receipts.c.association],
        set_={name: statement.excluded[name] for name in changing},
    )


_COLUMNS = (
    "source_id",
    "association",
    "calling_ae",
    "address",
    "began_at",
    "ended_at",
    "received",
    "refused",
    "failed",
    "statuses",
)

_END = (
    update(receipts)
    .where(receipts.c.source_id == bindparam("source"), receipts.c.ended_at.is_(None))
    .values(ended_at=bindparam("now"))
)
