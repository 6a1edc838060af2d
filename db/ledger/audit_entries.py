"""Write an entry to the audit table for an action that changed no row of work."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert

from db.engine import Database
from db.tables import audit


def write_entry(database: Database, action: str, detail: Mapping[str, object], *, actor: str, now: datetime) -> None:
    """Write one entry. `detail` has ids, keys and numbers; its keys `image` and `images` name the images concerned."""
    values = {"at": now, "actor": actor, "action": action, "detail": dict(detail)}
    database.write(lambda connection: connection.execute(insert(audit).values(**values)))
