"""Find channels that do not accept their messages."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select

from db.alarm_tables import notices
from db.engine import Database
from db.ledger.alarms import Finding
from nightread.alarm_rules import AlarmRule
from nightread.wording import counted

_FEWEST_ATTEMPTS = 3
_REMEMBERED = timedelta(days=1)


def channels_away(database: Database, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each channel with a message of the last day that it did not accept in three attempts.

    A channel has no finding if it accepted any message after that message was created.
    """
    since = now - _REMEMBERED
    newest = func.max(notices.c.sent_at).label("newest")
    taken = select(notices.c.channel, newest).where(notices.c.created_at >= since).group_by(notices.c.channel)
    missed = select(notices.c.channel, notices.c.created_at).where(
        notices.c.created_at >= since, notices.c.sent_at.is_(None), notices.c.attempts >= _FEWEST_ATTEMPTS
    )
    with database.read() as connection:
        last = {row.channel: row.newest for row in connection.execute(taken)}
        rows = connection.execute(missed.order_by(notices.c.id)).all()
    waiting: dict[str, int] = {}
    for row in rows:
        if last[row.channel] is None or last[row.channel] < row.created_at:
            waiting[row.channel] = waiting.get(row.channel, 0) + 1
    for channel, number in waiting.items():
        text = f"the channel {channel} did not accept {counted(number, 'message')}"
        yield Finding(rule=AlarmRule.CHANNEL_AWAY, subject=channel, text=text)
