"""Find destinations to which reports are not delivered."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select

from db.engine import Database
from db.ledger.alarms import Finding
from db.queries import DeliveryState
from db.store_tables import deliveries
from nightread.alarm_rules import AlarmRule
from nightread.settings import Settings
from nightread.wording import counted


def undelivered_reports(
    database: Database, settings: Settings, *, night_began_at: datetime, now: datetime
) -> Iterator[Finding]:
    """Yield a finding for each destination with reports that wait for too long, or have failed in this night."""
    waiting = (
        deliveries.c.state == DeliveryState.WAITING,
        deliveries.c.created_at < now - timedelta(minutes=settings.alarm_delivery_minutes),
    )
    failed = (deliveries.c.state == DeliveryState.FAILED, deliveries.c.finished_at >= night_began_at)
    for rule, conditions, words in (
        (AlarmRule.DESTINATION_AWAY, waiting, "could not be delivered yet"),
        (AlarmRule.REPORTS_FAILED, failed, "failed after all attempts"),
    ):
        statement = (
            select(deliveries.c.destination, func.count().label("reports"))
            .where(*conditions)
            .group_by(deliveries.c.destination)
        )
        with database.read() as connection:
            rows = connection.execute(statement).all()
        for row in rows:
            text = f"{counted(row.reports, 'report')} for the destination {row.destination} {words}"
            yield Finding(rule=rule, subject=row.destination, text=text)
