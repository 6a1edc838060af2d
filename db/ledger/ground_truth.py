"""Store ground truth: labels that become known after the analysis."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, insert

from db.engine import Database
from db.store_tables import truths
from db.tables import audit

Subject = Literal["sop", "study", "accession"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundTruth:
    """One known label: present or absent, for the image, study or order that `key` identifies."""

    subject: Subject
    """What the key identifies: one image, one study, or one order."""
    key: str
    """SOP or Study Instance UID, or the hash of an accession number."""
    label: str
    present: bool


def save_ground_truth(database: Database, known: Iterable[GroundTruth], *, actor: str, now: datetime) -> int:
    """Store ground truth; it replaces all earlier labels of the same keys. Returns the number of keys."""
    rows = {
        (truth.subject, truth.key, truth.label): {
            "subject": truth.subject,
            "key": truth.key,
            "label": truth.label,
            "present": truth.present,
            "imported_at": now,
        }
        for truth in known
    }
    keys = {(subject, key) for subject, key, _ in rows}

    def transaction(connection: Connection) -> None:
        if rows:
            connection.execute(_DELETE, [{"of": subject, "named": key} for subject, key in keys])
            connection.execute(insert(truths), list(rows.values()))
            detail = {"subjects": sorted({subject for subject, _ in keys}), "keys": len(keys), "labels": len(rows)}
            connection.execute(insert(audit).values(at=now, actor=actor, action="truths.import", detail=detail))

    database.write(transaction)
    return len(keys)


_DELETE = delete(truths).where(truths.c.subject == bindparam("of"), truths.c.key == bindparam("named"))
