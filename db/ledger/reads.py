"""Write to the audit table who looked at the data of a patient."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from db.bulk import execute_many
from db.engine import Database
from db.tables import audit, instances

IMAGE_READ, STUDY_READ = "image.read", "study.read"
"""Actions of the audit table."""


def note_read(
    database: Database, kind: Literal["image", "study"], name: int | str, *, actor: str, now: datetime
) -> None:
    """Store that `actor` viewed an image or a study; `name` is the id of the image or the UID of the study."""
    row = {
        "at": now,
        "actor": actor,
        "action": IMAGE_READ if kind == "image" else STUDY_READ,
        "detail": {kind: name},
    }
    database.write(lambda connection: connection.execute(insert(audit).values(**row)))


def forget_studies(connection: Connection, study_instance_uids: Collection[str]) -> None:
    """Remove the UIDs of purged studies from the entries about who viewed them, within the caller's transaction."""
    if study_instance_uids:
        views = connection.execute(_STUDY_VIEWS).all()
        _forget(connection, [row.id for row in views if row.detail.get("study") in study_instance_uids])


def forget_purged_studies(database: Database) -> None:
    """Remove the UIDs of all studies without images from the entries about who viewed them.

    This reads all entries about views of studies once.
    """
    with database.read() as connection:
        views = {row.id: row.detail.get("study") for row in connection.execute(_STUDY_VIEWS)}
        gone = [
            view for view, study in views.items() if study and connection.execute(_images_of(study)).first() is None
        ]
    if gone:
        database.write(lambda connection: _forget(connection, gone))


def _forget(connection: Connection, entries: Collection[int]) -> None:
    execute_many(connection, _FORGET, ("entry", "new_detail"), [(entry, {"study": None}) for entry in entries])


def _images_of(study_instance_uid: str) -> Select[int]:
    return select(instances.c.id).where(instances.c.study_instance_uid == study_instance_uid).limit(1)


_STUDY_VIEWS = select(audit.c.id, audit.c.detail).where(audit.c.action == STUDY_READ)
_FORGET = (
    update(audit)
    .where(audit.c.id == bindparam("entry"))
    .values(detail=bindparam("new_detail", type_=audit.c.detail.type))
)
