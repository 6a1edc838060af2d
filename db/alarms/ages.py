"""Find images that wait for too long, and a backup that is too old."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select

from db import queries
from db.engine import Database
from db.ledger import Cause
from db.ledger.alarms import Finding
from db.queries.backups import latest_backup
from db.tables import instances
from nightread.alarm_rules import AlarmRule
from nightread.settings import Settings
from nightread.wording import duration


def old_waiting(database: Database, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield a finding if an image waits for longer than `alarm_oldest_hours`."""
    if not settings.alarm_oldest_hours:
        return
    pauses = queries.pauses(database)
    waiting_for_hours = [pause.source_id for pause in pauses if pause.cause is Cause.HOURS and pause.source_id]
    oldest = queries.oldest_waiting(database, leave_out=waiting_for_hours)
    if oldest is not None and now - oldest > timedelta(hours=settings.alarm_oldest_hours):
        text = f"an image has waited for {duration((now - oldest).total_seconds())}"
        yield Finding(rule=AlarmRule.OLDEST_WAITING, subject="", text=text)


def old_backup(database: Database, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield a finding if the latest backup (if there is none, the first arrival) is older than `backup_alarm_days`."""
    if not settings.backup_alarm_days:
        return
    limit = now - timedelta(days=settings.backup_alarm_days)
    backup = latest_backup(database)
    if backup is None:
        with database.read() as connection:
            first = connection.execute(select(func.min(instances.c.arrived_at))).scalar()
        if first is not None and first < limit:
            yield Finding(rule=AlarmRule.BACKUP, subject="", text="there is no backup")
    elif backup < limit:
        age = duration((now - backup).total_seconds())
        yield Finding(rule=AlarmRule.BACKUP, subject="", text=f"the latest backup is {age} old")
