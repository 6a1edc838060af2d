"""Run all checks at intervals: open and close alarms, notify the channels, and report to the outside monitor."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, ledger
from db.alarms import AlarmChecks
from db.condition import ConditionProblem
from db.engine import Database
from db.ledger.alarms import Alarm, AlarmEvent, Finding, note_findings, remove_old_alarms
from delivery.alarms.channels import send
from delivery.alarms.message import notices_for
from delivery.alarms.monitor import Monitor
from delivery.alarms.outage import DatabaseOutage
from delivery.alarms.outbox import NoticeOutbox
from nightread.alarm_rules import AlarmRule
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork
from nightread.nights import Nights
from nightread.settings import Settings

log = logging.getLogger(__name__)

AfterChecks = Callable[[datetime], None]


class AlarmWatch:
    """The watchdog: one round of checks, and the loop around it."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        nights: Nights,
        *,
        further: Callable[[], Sequence[ConditionProblem]] = tuple,
        after_checks: Sequence[AfterChecks] = (),
        clock: Clock = utc_now,
    ) -> None:
        """`further` finds problems of this host; `after_checks` are called after the checks of each round."""
        self._settings = settings
        self._database = database
        self._nights = nights
        self._further = further
        self._after_checks = after_checks
        self._clock = clock
        self._checks = AlarmChecks(settings, nights)
        self._outbox = NoticeOutbox(settings, database, send)
        self._outage = DatabaseOutage(settings, nights, send)
        self._monitor = Monitor(settings)
        self._removed_at: datetime | None = None

    def run(self, stop: Event, *, before_each: Callable[[], None] = lambda: None) -> None:
        """Check every `watchdog_seconds` until `stop` is set."""
        self._monitor.send("start", now=self._clock())
        while not stop.is_set():
            before_each()
            began = time.monotonic()
            self.check()
            stop.wait(max(0.1, self._settings.watchdog_seconds - (time.monotonic() - began)))

    def check(self) -> None:
        """Run all checks once. If the database is unavailable, notify people of that without using the database.

        The outside monitor gets its heartbeat before the channels get their notices, because channels may be slow.
        """
        now = self._clock()
        try:
            events = self._note(self._checks.findings(self._database, now, further=self._further()), now)
            for call in self._after_checks:
                call(now)
            self._remove_old(now)
        except (SQLAlchemyError, StopWork) as error:
            self._monitor.send("fail", now=now, text="the checks could not be made")
            self._outage.failed(_described(error), now)
            return
        self._monitor.send("success", now=now)
        _log(events)
        self._send_due(now)

    def _send_due(self, now: datetime) -> None:
        """Send the notices that are due. If the database fails meanwhile, the next checks raise the alarm for it."""
        try:
            self._outbox.send_due(now)
        except (SQLAlchemyError, StopWork) as error:
            log.warning("messages wait for the next round, because the database cannot be read: %s", _described(error))

    def _note(self, findings: Iterable[Finding], now: datetime) -> list[tuple[AlarmEvent, Alarm]]:
        repeat = self._settings.alarm_repeat_seconds
        notices_of = notices_for(self._settings.alarm_channels, self._nights)
        past = self._outage.ended(self._database, now)
        events = note_findings(
            self._database,
            findings,
            now=now,
            night=self._nights.latest(now),
            notices_of=notices_of,
            repeat_after=timedelta(seconds=repeat) if repeat else None,
            unchecked=self._checks.unchecked,
        )
        return [*past, *events]

    def _remove_old(self, now: datetime) -> None:
        if self._removed_at is None or abs(now - self._removed_at) >= timedelta(days=1):
            remove_old_alarms(self._database, before=now - timedelta(days=self._settings.alarm_keep_days))
            ledger.forget_parts(self._database, now=now)
            self._removed_at = now


def _described(error: SQLAlchemyError | StopWork) -> str:
    return error_messages.describe(error) if isinstance(error, SQLAlchemyError) else type(error).__name__


def _log(events: Iterable[tuple[AlarmEvent, Alarm]]) -> None:
    """Write each event to the log, since every site has a log."""
    for event, alarm in events:
        level = logging.INFO if event is AlarmEvent.CLOSED else logging.WARNING
        if event is AlarmEvent.OPENED and AlarmRule(alarm.rule) is AlarmRule.COUNTS:
            level = logging.ERROR
        log.log(level, "alarm %d %s (%s): %s", alarm.id, event.value, alarm.rule, alarm.text)
