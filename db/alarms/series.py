"""Find series that could not be formed."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from db import queries
from db.engine import Database
from db.ledger.alarms import Finding
from nightread.alarm_rules import AlarmRule


def failed_series(database: Database, *, night_began_at: datetime) -> Iterator[Finding]:
    """Yield a finding if series failed since this night began."""
    reasons = Counter(each.reason for each in queries.failed_series(database, since=night_began_at, until=None))
    if reasons:
        named = ", ".join(f"{reason}: {number:,}" for reason, number in reasons.most_common())
        text = f"{reasons.total():,} series could not be formed ({named})"
        yield Finding(rule=AlarmRule.SERIES_FAILED, subject="", text=text)
