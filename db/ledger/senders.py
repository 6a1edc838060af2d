"""Store who sent images to a receiver."""

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from db.bulk import execute_many
from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.ledger.values import NO_GROUP, CallingEntity
from db.store_tables import senders


def sender_ids(
    connection: Connection, source_id: int, named: Collection[CallingEntity]
) -> dict[CallingEntity | None, int]:
    """Return the ids of these senders of a receiver; insert new ones, and store trust groups that changed."""
    if not named:
        return {}
    known = _known(connection, source_id, named)
    new = [sender for sender in sorted(named, key=str) if (sender.calling_ae, sender.address) not in known]
    if new:
        insert_if_absent(connection, senders, _COLUMNS, [(source_id, *sender) for sender in new])
        known = _known(connection, source_id, named)
    found = {sender: known[sender.calling_ae, sender.address] for sender in named}
    changed = [(row.id, sender.trust) for sender, row in found.items() if row.trust != sender.trust]
    execute_many(connection, _CHANGE, ("sender", "group"), changed)
    return {sender: row.id for sender, row in found.items()}


def update_trust(database: Database, source_id: int, group_of: Callable[[str, str, str | None], str | None]) -> None:
    """Store the trust groups of all known senders of a receiver, also of those that send nothing for a while.

    `group_of` gets the AE title, the address and the stored group. Unknown senders stay without a group.
    """

    def transaction(connection: Connection) -> None:
        known = connection.execute(select(senders).where(senders.c.source_id == source_id)).all()
        groups = [
            (row.id, row.trust, group_of(row.calling_ae, row.address, row.trust))
            for row in known
            if row.trust != NO_GROUP
        ]
        changed = [(sender_id, group) for sender_id, stored, group in groups if group != stored]
        execute_many(connection, _CHANGE, ("sender", "group"), changed)

    database.write(transaction)


def _known(connection: Connection, source_id: int, named: Collection[CallingEntity]) -> dict[tuple[str, str], Row[Any]]:
    wanted = {"source": source_id, "titles": [s.calling_ae for s in named], "addresses": [s.address for s in named]}
    return {(row.calling_ae, row.address): row for row in connection.execute(_KNOWN, wanted)}


_COLUMNS = ("source_id", "calling_ae", "address", "trust")
_KNOWN = select(senders).where(
    senders.c.source_id == bindparam("source"),
    senders.c.calling_ae.in_(bindparam("titles", expanding=True)),
    senders.c.address.in_(bindparam("addresses", expanding=True)),
)
_CHANGE = update(senders).where(senders.c.id == bindparam("sender")).values(trust=bindparam("group"))
