"""Store who sent images to a receiver or to the HTTP API."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from db.bulk import execute_many
from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.ledger.values import NO_GROUP, CallingEntity
from db.store_tables import senders
from nightread.hosts import host_name

MOST_TITLES = 256
"""Largest number of AE titles of one host that are stored as separate senders; further titles share one sender (senders
with a trust group are never limited). Each separate sender has its own current version of an image, and each new
version is compared with all of them: with 2,000, that costs 40 ms. So a program that uses a new title each time cannot
slow down the ledger."""
_FURTHER = "further titles of "


def sender_ids(
    connection: Connection, source_id: int, named: Collection[CallingEntity]
) -> dict[CallingEntity | None, int]:
    """Return the ids of these senders of a source; insert new senders, and store changed trust groups.

    All titles of a host beyond MOST_TITLES are stored as one sender. Without this limit each of them would be a trust
    domain with its own current version of an image, and every new version is compared with all current versions.
    """
    if not named:
        return {}
    known = _known(connection, source_id, named)
    stored_as = {sender: sender for sender in named}
    new = [sender for sender in sorted(named, key=str) if (sender.calling_ae, sender.address) not in known]
    if new:
        stored_as |= _within_limit(connection, source_id, new)
        rows = dict.fromkeys((source_id, *stored_as[sender]) for sender in new)
        insert_if_absent(connection, senders, _COLUMNS, list(rows))
        known = _known(connection, source_id, stored_as.values())
    found = {sender: known[stored.calling_ae, stored.address] for sender, stored in stored_as.items()}
    changed = {
        (found[sender].id, stored.trust) for sender, stored in stored_as.items() if found[sender].trust != stored.trust
    }
    execute_many(connection, _CHANGE, ("sender", "group"), sorted(changed, key=str))
    return {sender: row.id for sender, row in found.items()}


def _within_limit(
    connection: Connection, source_id: int, new: Collection[CallingEntity]
) -> dict[CallingEntity, CallingEntity]:
    """Map each new sender beyond the limit of its host to the common sender as which it is stored.

    Senders with a trust group are never limited.
    """
    addresses = connection.execute(select(senders.c.address).where(senders.c.source_id == source_id)).scalars()
    titles = Counter(map(host_name, addresses))
    stored_as = {}
    for sender in new:
        host = host_name(sender.address)
        if sender.trust is None and titles[host] >= MOST_TITLES:
            stored_as[sender] = CallingEntity(calling_ae="", address=f"{_FURTHER}{host}")
        titles[host] += 1
    return stored_as


def update_trust(database: Database, source_id: int, group_of: Callable[[str, str, str | None], str | None]) -> None:
    """Store the trust groups of all known senders of a receiver, even if they send nothing now.

    `group_of` gets the AE title, the address and the stored group. Unknown senders stay without a group.
    """

    def transaction(connection: Connection) -> None:
        known = connection.execute(select(senders).where(senders.c.source_id == source_id)).all()
        groups = [
            (row.id, row.trust, group_of(row.calling_ae, row.address, row.trust))
            for row in known
            if row.trust != NO_GROUP and not row.address.startswith(_FURTHER)
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
