"""Notify people that the database is unavailable. This alarm cannot be stored until the database is back."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from db.engine import Database
from db.ledger.alarms import Alarm, AlarmEvent, Finding, note_findings
from db.ledger.notices import Notice
from delivery.alarms.message import alarm_body, notices_for
from nightread.alarm_rules import AlarmRule
from nightread.nights import Nights
from nightread.settings import Settings

log = logging.getLogger(__name__)

RAISE_AFTER = timedelta(minutes=1)


class DatabaseOutage:
    """One outage of the database: its start, and the channels that were notified."""

    def __init__(self, settings: Settings, nights: Nights, send: Callable[..., str | None]) -> None:
        self._settings = settings
        self._nights = nights
        self._send = send
        self._since: datetime | None = None
        self._opened_at: datetime | None = None
        self._text = ""
        self._told: dict[str, datetime] = {}
        """Time of the latest notice, by name of the channel."""
        self._logged_at: datetime | None = None

    def failed(self, what: str, now: datetime) -> None:
        """Record that the checks could not read the database. After a minute, notify each channel; repeat this later.

        If a channel does not accept the notice, the next round tries again. This alarm cannot be acknowledged, because
        acknowledgements are stored in the database.
        """
        if self._since is None or self._since > now:
            self._since = now
        self._text = f"the database cannot be read: {what}"
        if now - self._since < RAISE_AFTER:
            return
        if self._opened_at is None:
            self._opened_at = self._logged_at = now
            log.error("alarm opened (%s): %s", AlarmRule.DATABASE.value, self._text)
        elif self._is_due(self._logged_at, now):
            self._logged_at = now
            log.warning("alarm repeated (%s): %s", AlarmRule.DATABASE.value, self._text)
        self._tell_channels(now)

    def ended(self, database: Database, now: datetime) -> list[tuple[AlarmEvent, Alarm]]:
        """Store the alarm of an outage that has ended, and notify the channels that had a notice of the outage."""
        if self._opened_at is None:
            self._since = None
            return []
        finding = Finding(rule=AlarmRule.DATABASE, subject="", text=self._text)
        others = frozenset(AlarmRule) - {AlarmRule.DATABASE}
        note_findings(
            database,
            [finding],
            now=self._opened_at,
            night=self._nights.latest(self._opened_at),
            notices_of=lambda _event, _alarm: (),
            unchecked=others,
        )
        notices_of = notices_for([c for c in self._settings.alarm_channels if c.name in self._told], self._nights)
        events = note_findings(
            database,
            [],
            now=max(now, self._opened_at + timedelta(minutes=2)),
            night=self._nights.latest(now),
            notices_of=notices_of,
            unchecked=others,
        )
        self._since, self._opened_at, self._logged_at, self._told = None, None, None, {}
        return events

    def _tell_channels(self, now: datetime) -> None:
        channels = {channel.name: channel for channel in self._settings.alarm_channels}
        alarm = self._alarm(now)
        for name, _ in notices_for(self._settings.alarm_channels, self._nights)(AlarmEvent.OPENED, alarm):
            told_at = self._told.get(name)
            if told_at is not None and not self._is_due(told_at, now):
                continue
            event = AlarmEvent.OPENED if told_at is None else AlarmEvent.REPEATED
            body = alarm_body(event, alarm, self._nights)
            notice = Notice(id=0, alarm_id=None, channel=name, body=body, created_at=now, not_before=now, attempts=0)
            if self._send(self._settings, channels[name], notice, now=now) is None:
                self._told[name] = now

    def _is_due(self, told_at: datetime | None, now: datetime) -> bool:
        """Return whether to repeat the notice. If the clock was set back, `told_at` may be later than `now`."""
        repeat = self._settings.alarm_repeat_seconds
        return bool(repeat and told_at and abs(now - told_at) >= timedelta(seconds=repeat))

    def _alarm(self, now: datetime) -> Alarm:
        return Alarm(
            id=0,
            rule=AlarmRule.DATABASE,
            subject="",
            night=self._nights.latest(now).isoformat(),
            text=self._text,
            first_seen_at=self._since or now,
            last_seen_at=now,
            opened_at=self._opened_at,
        )
