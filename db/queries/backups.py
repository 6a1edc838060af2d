"""Find out when the database was last backed up."""

from datetime import datetime

from sqlalchemy import select

from db.engine import Database
from db.tables import audit

BACKUP, RESTORE = "database.backup", "database.restore"
"""Actions of the entries that `nightread backup` and `restore` write to the audit table."""


def latest_backup(database: Database) -> datetime | None:
    """Return the time of the data in the latest backup; None if there is none.

    A restored database counts as backed up by the backup from which it was restored.
    """
    latest = select(audit).where(audit.c.action.in_((BACKUP, RESTORE))).order_by(audit.c.id.desc()).limit(1)
    with database.read() as connection:
        entry = connection.execute(latest).one_or_none()
    return None if entry is None else datetime.fromisoformat(entry.detail["taken_at"])
