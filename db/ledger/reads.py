"""Write to the audit table who looked at the data of a patient."""

from datetime import datetime
from typing import Literal

from sqlalchemy import insert

from db.engine import Database
from db.tables import audit

IMAGE_READ, STUDY_READ = "image.read", "study.read"
"""Actions of the audit table."""


def note_read(
    database: Database, kind: Literal["image", "study"], name: int | str, *, actor: str, now: datetime
) -> None:
    """Store one view of an image, by its id, or of a study, by its UID."""
    row = {
        "at": now,
        "actor": actor,
        "action": IMAGE_READ if kind == "image" else STUDY_READ,
        "detail": {kind: name},
    }
    database.write(lambda connection: connection.execute(insert(audit).values(**row)))
