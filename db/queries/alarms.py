"""List alarms, and the notices that were written for them."""

from datetime import datetime

from sqlalchemy import select

from db.alarm_tables import alarms as table
from db.alarm_tables import notices
from db.engine import Database
from db.ledger.alarms import Alarm


def alarms(
    database: Database, *, is_open: bool = False, since: datetime | None = None, until: datetime | None = None
) -> list[Alarm]:
    """List the alarms that were opened, oldest first; `since` and `until` refer to the time at which they opened."""
    statement = select(table).where(table.c.opened_at.is_not(None)).order_by(table.c.id)
    if is_open:
        statement = statement.where(table.c.closed_at.is_(None))
    if since is not None:
        statement = statement.where(table.c.opened_at >= since)
    if until is not None:
        statement = statement.where(table.c.opened_at < until)
    with database.read() as connection:
        return [Alarm.from_row(row) for row in connection.execute(statement)]


def unsent_notices(database: Database) -> int:
    """Return the number of notices that wait for their channel."""
    statement = select(notices.c.id).where(notices.c.not_before.is_not(None))
    with database.read() as connection:
        return len(connection.execute(statement).all())
