"""Store the issuers of patient and accession numbers, so that a number can be found without naming its issuer."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, select

from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.store_tables import issuers
from imaging.patient import ISSUER_LIMIT, NumberKind


def remember_issuers(database: Database, seen: Collection[tuple[NumberKind, str]], *, now: datetime) -> None:
    """Store new issuers by kind of number, until the table has ISSUER_LIMIT rows; stored issuers stay."""

    def transaction(connection: Connection) -> None:
        room = ISSUER_LIMIT - connection.execute(select(func.count()).select_from(issuers)).scalar_one()
        rows = [(kind, name, now) for kind, name in sorted(seen)[: max(0, room)]]
        insert_if_absent(connection, issuers, ("kind", "name", "first_seen_at"), rows)

    database.write(transaction)
