"""Run all checks of the watchdog once."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from db.alarms.ages import old_backup, old_waiting
from db.alarms.arrivals import silent_senders
from db.alarms.channels import channels_away
from db.alarms.drift import DriftAlarms
from db.alarms.habits import Habits
from db.alarms.model_ranges import ModelRanges
from db.alarms.of_condition import findings_of_condition
from db.alarms.outcomes import bad_outcomes
from db.alarms.reports import undelivered_reports
from db.alarms.series import failed_series
from db.condition import ConditionProblem, read_condition
from db.engine import Database
from db.ledger.alarms import Finding
from nightread.alarm_rules import AlarmRule
from nightread.errors import StopWork
from nightread.nights import Nights
from nightread.settings import Settings

log = logging.getLogger(__name__)

_SLOW_CHECKS = timedelta(minutes=1)
"""Interval of the checks that read all arrivals or results of the day."""


class AlarmChecks:
    """Checks the rules of all alarms, and remembers what it has read about earlier nights."""

    def __init__(self, settings: Settings, nights: Nights) -> None:
        self._settings = settings
        self._nights = nights
        self._habits = Habits(nights)
        self._models = ModelRanges(nights)
        self._drift = DriftAlarms(nights)
        self._slow: Sequence[Finding] = ()
        self._slow_at: datetime | None = None
        self._failed: frozenset[AlarmRule] = frozenset()

    @property
    def unchecked(self) -> frozenset[AlarmRule]:
        """Return the rules whose latest check failed; their open alarms stay open."""
        return self._failed

    def findings(self, database: Database, now: datetime, *, further: Sequence[ConditionProblem] = ()) -> list[Finding]:
        """Return everything that is wrong now; `further` are problems that the caller found on this host.

        A check that fails is a finding itself, and the other checks go on. Raises SQLAlchemyError and StopWork.
        """
        settings = self._settings

        def condition() -> Iterator[Finding]:
            yield from findings_of_condition(read_condition(database, settings, self._nights, now=now, further=further))

        began = self._nights.bounds(self._nights.latest(now))[0]
        return [
            *self._checked(_OF_CONDITION, condition),
            *self._checked({AlarmRule.OLDEST_WAITING}, lambda: old_waiting(database, settings, now)),
            *self._checked(
                {AlarmRule.DESTINATION_AWAY, AlarmRule.REPORTS_FAILED},
                lambda: undelivered_reports(database, settings, night_began_at=began, now=now),
            ),
            *self._checked({AlarmRule.SERIES_FAILED}, lambda: failed_series(database, night_began_at=began)),
            *self._checked({AlarmRule.CHANNEL_AWAY}, lambda: channels_away(database, now)),
            *self._of_the_day(database, now),
        ]

    def _of_the_day(self, database: Database, now: datetime) -> Sequence[Finding]:
        """Return the findings of the slow checks.

        They run again only if _SLOW_CHECKS has passed since the last time, or if the clock was set back.
        """
        if self._slow_at is None or not timedelta(0) <= now - self._slow_at < _SLOW_CHECKS:
            self._slow = list(self._run_slow(database, now))
            self._slow_at = now
        return self._slow

    def _run_slow(self, database: Database, now: datetime) -> Iterator[Finding]:
        settings = self._settings
        checks: dict[AlarmRule, Callable[[], Iterable[Finding]]] = {
            AlarmRule.NO_ARRIVALS: lambda: silent_senders(database, settings, self._nights, self._habits, now),
            AlarmRule.BAD_OUTCOMES: lambda: bad_outcomes(database, settings, now),
            AlarmRule.MODEL_RANGE: lambda: self._models.findings(database, now),
            AlarmRule.DRIFT: lambda: self._drift.findings(database, now),
            AlarmRule.BACKUP: lambda: old_backup(database, settings, now),
        }
        for rule, check in checks.items():
            yield from self._checked({rule}, check)

    def _checked(self, rules: Collection[AlarmRule], check: Callable[[], Iterable[Finding]]) -> list[Finding]:
        """Run a check and return its findings; if it fails, return one finding that says so.

        The other checks run even if this one fails.
        """
        try:
            found = list(check())
        except (SQLAlchemyError, StopWork):
            raise
        except Exception:
            names = ", ".join(sorted(rule.value for rule in rules))
            log.exception("the check of these alarms failed: %s", names)
            self._failed |= frozenset(rules)
            text = f"the watchdog cannot check {names}: see its log"
            return [Finding(rule=AlarmRule.WATCHDOG, subject=names, text=text)]
        self._failed -= frozenset(rules)
        return found


_OF_CONDITION = frozenset(
    {
        AlarmRule.STALLED,
        AlarmRule.LATE,
        AlarmRule.PART_SILENT,
        AlarmRule.PART_RESTARTS,
        AlarmRule.PAUSED,
        AlarmRule.SOURCE_AWAY,
        AlarmRule.SENDERS_REFUSED,
        AlarmRule.DISK,
        AlarmRule.CLOCK,
        AlarmRule.COUNTS,
    }
)
"""The rules that db.alarms.of_condition checks."""
