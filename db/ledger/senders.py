"""Store who sent images to a receiver."""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select, update

from db.bulk import execute_many
from db.ledger.upsert import insert_if_absent
from db.ledger.values import CallingEntity
from db.store_tables import senders


def sender_ids(
    connection: Connection, source_id: int, named: Collection[CallingEntity]
) -> dict[CallingEntity | None, int]:
    """Return the ids of these senders of a receiver; insert new ones, and store trust groups that changed."""
    if not named:
        return {}
    rows = [(source_id, *sender) for sender in sorted(named, key=str)]
    insert_if_absent(connection, senders, _COLUMNS, rows)
    wanted = {"source": source_id, "titles": [s.calling_ae for s in named], "addresses": [s.address for s in named]}
    known = {(row.calling_ae, row.address): row for row in connection.execute(_KNOWN, wanted)}
    found = {sender: known[sender.calling_ae, sender.address] for sender in named}
    changed = [(row.id, sender.trust) for sender, row in found.items() if row.trust != sender.trust]
    execute_many(connection, _CHANGE, ("sender", "group"), changed)
    return {sender: row.id for sender, row in found.items()}


_COLUMNS = ("source_id", "calling_ae", "address", "trust")
_KNOWN = select(senders).where(
    senders.c.source_id == bindparam("source"),
    senders.c.calling_ae.in_(bindparam("titles", expanding=True)),
    senders.c.address.in_(bindparam("addresses", expanding=True)),
)
_CHANGE = update(senders).where(senders.c.id == bindparam("sender")).values(trust=bindparam("group"))
