"""Read the list of patients who opted out."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from db.engine import Database
from db.ledger.opt_outs import opted_out_keys as keys_within
from db.store_tables import opt_outs as table


@dataclass(frozen=True, kw_only=True, slots=True)
class OptOut:
    """One entry of the list. A PatientID without a named issuer is one entry, however many keys belong to it."""

    key: str
    """The key of the number alone if `any_issuer`, else the `patient_key` of the patient's images."""
    any_issuer: bool
    key_id: str
    """Identifies the site key that made `key`; entries of another site key match no image."""
    added_at: datetime
    actor: str


def opted_out_keys(database: Database) -> frozenset[str]:
    """Return all keys of patients who opted out. A worker reads them once per batch."""
    with database.read() as connection:
        return keys_within(connection)


def opt_outs(database: Database) -> list[OptOut]:
    """Return the entries, oldest first."""
    is_entry = (table.c.number_key.is_(None)) | (table.c.number_key == table.c.patient_key)
    with database.read() as connection:
        rows = connection.execute(select(table).where(is_entry).order_by(table.c.added_at, table.c.patient_key))
        return [
            OptOut(
                key=row.patient_key,
                any_issuer=row.number_key is not None,
                key_id=row.key_id,
                added_at=row.added_at,
                actor=row.actor,
            )
            for row in rows
        ]
