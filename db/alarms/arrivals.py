"""Find sources and senders from which nothing arrives although it should."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from db.alarms.habits import Habits
from db.alarms.sending_days import SenderKey
from db.engine import Database
from db.ledger.alarms import Finding
from nightread.alarm_rules import AlarmRule
from nightread.nights import Nights
from nightread.settings import Settings
from nightread.wording import duration


def silent_senders(
    database: Database, settings: Settings, nights: Nights, habits: Habits, now: datetime
) -> Iterator[Finding]:
    """Yield a finding for each source or sender that is silent at a time when it usually sends.

    After the time of `alarm_arrivals_by`, also yield a finding for each source of the settings that has sent nothing in
    this night.
    """
    late = dict.fromkeys(_late_sources(database, settings, nights, habits, now), "by the time of alarm_arrivals_by")
    silent = list(habits.silent(database, now))
    only = Counter(source for (source, sender), _, _ in silent if sender)
    for (source, sender), since, gap in silent:
        if not sender and (source in late or only[source] == 1):
            continue  # another finding reports the source, or its only sender
        usual = "has sent by now" if gap is None else f"pauses for less than {duration(gap.total_seconds())}"
        since_when = f"since {nights.local(since):%a %H:%M}"
        text = f"nothing arrived from {_named((source, sender))} {since_when}; on comparable days it usually {usual}"
        yield Finding(rule=AlarmRule.NO_ARRIVALS, subject=_subject((source, sender)), text=text)
    for source, why in late.items():
        text = f"nothing arrived from the source {source} in this night {why}"
        yield Finding(rule=AlarmRule.NO_ARRIVALS, subject=source, text=text)


def _late_sources(
    database: Database, settings: Settings, nights: Nights, habits: Habits, now: datetime
) -> Iterator[str]:
    """After the time of `alarm_arrivals_by`, yield the sources of the settings that have sent nothing in this night."""
    if settings.alarm_arrivals_by is None:
        return
    start, _ = nights.bounds(nights.latest(now))
    if now < nights.first_at(settings.alarm_arrivals_by, start):
        return
    arrived = {source for source, _ in habits.today(database, now)}
    yield from (source.name for source in settings.sources if source.name not in arrived)


def _named(key: SenderKey) -> str:
    source, sender = key
    return f"{sender} (source {source})" if sender else f"the source {source}"


def _subject(key: SenderKey) -> str:
    source, sender = key
    return f"{source} {sender}" if sender else source
