"""Which bundles have ever analysed something."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.tables import bundles


def register_bundle(
    database: Database,
    *,
    name: str,
    version: str,
    digest: str,
    labels: Sequence[str],
    normal_label: str | None,
    now: datetime,
) -> int:
    """The id of the bundle of this digest, made if it is new."""
    row = {
        "name": name,
        "version": version,
        "digest": digest,
        "labels": list(labels),
        "normal_label": normal_label,
        "registered_at": now,
    }

    def transaction(connection: Connection) -> int:
        insert_if_absent(connection, bundles, tuple(row), [tuple(row.values())])
        return int(connection.execute(select(bundles.c.id).where(bundles.c.digest == digest)).scalar_one())

    return database.write(transaction)
