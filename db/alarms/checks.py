"""Run all checks of the watchdog once."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from db.alarms.ages import old_backup, old_waiting
from db.alarms.arrivals import silent_senders
from db.alarms.habits import Habits
from db.alarms.model_ranges import ModelRanges
from db.alarms.of_condition import findings_of_condition
from db.alarms.outcomes import bad_outcomes
from db.alarms.reports import undelivered_reports
from db.condition import ConditionProblem, read_condition
from db.engine import Database
from db.ledger.alarms import Finding
from nightread.nights import Nights
from nightread.settings import Settings

_SLOW_CHECKS = timedelta(minutes=1)
"""Interval of the checks that read all arrivals or results of the day."""


class AlarmChecks:
    """All rules of the alarms, with what they remember of earlier nights."""

    def __init__(self, settings: Settings, nights: Nights) -> None:
        self._settings = settings
        self._nights = nights
        self._habits = Habits(nights)
        self._models = ModelRanges(nights)
        self._slow: Sequence[Finding] = ()
        self._slow_at: datetime | None = None

    def findings(self, database: Database, now: datetime, *, further: Sequence[ConditionProblem] = ()) -> list[Finding]:
        """Return everything that is wrong now; `further` are problems that the caller found on this host."""
        settings = self._settings
        condition = read_condition(database, settings, self._nights, now=now, further=further)
        return [
            *findings_of_condition(condition),
            *old_waiting(database, settings, now),
            *undelivered_reports(database, settings, night_began_at=self._night_began_at(now), now=now),
            *self._of_the_day(database, now),
        ]

    def _night_began_at(self, now: datetime) -> datetime:
        return self._nights.bounds(self._nights.latest(now))[0]

    def _of_the_day(self, database: Database, now: datetime) -> Sequence[Finding]:
        """Return the findings of the slow checks; a clock that was set back makes them run at once."""
        if self._slow_at is None or not timedelta(0) <= now - self._slow_at < _SLOW_CHECKS:
            self._slow = list(self._run_slow(database, now))
            self._slow_at = now
        return self._slow

    def _run_slow(self, database: Database, now: datetime) -> Iterator[Finding]:
        yield from silent_senders(database, self._settings, self._nights, self._habits, now)
        yield from bad_outcomes(database, self._settings, now)
        yield from self._models.findings(database, now)
        yield from old_backup(database, self._settings, now)
