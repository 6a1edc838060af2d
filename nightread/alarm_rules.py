"""Define the rules of alarms: when each raises and clears its alarm, and where the playbook explains it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

PLAYBOOK = "docs/operations.md"


class AlarmRule(StrEnum):
    """One kind of alarm; the value is the word that the database, the channels and the metrics use."""

    NO_ARRIVALS = "no_arrivals"
    STALLED = "stalled"
    LATE = "late"
    BAD_OUTCOMES = "bad_outcomes"
    PART_SILENT = "part_silent"
    PART_RESTARTS = "part_restarts"
    PAUSED = "paused"
    SOURCE_AWAY = "source_away"
    SENDERS_REFUSED = "senders_refused"
    DESTINATION_AWAY = "destination_away"
    REPORTS_FAILED = "reports_failed"
    SERIES_FAILED = "series_failed"
    DISK = "disk"
    OLDEST_WAITING = "oldest_waiting"
    CLOCK = "clock"
    MODEL_RANGE = "model_range"
    DRIFT = "drift"
    BACKUP = "backup"
    COUNTS = "counts"
    DATABASE = "database"
    CHANNEL_AWAY = "channel_away"
    WATCHDOG = "watchdog"


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmTiming:
    """When a rule raises and clears its alarm, and its entry in the playbook."""

    entry: str
    """Heading of the entry in docs/operations.md."""
    raise_after: timedelta = timedelta(0)
    """The condition must hold for this long."""
    clear_after: timedelta = timedelta(minutes=2)
    """The condition must be gone for this long, so that a condition that comes and goes causes one alarm."""
    is_critical: bool = False
    """Whether the alarm says that images are not noticed, not analysed or not accounted for."""

    @property
    def link(self) -> str:
        """Return the address of the entry in the documentation site."""
        kept = "".join(letter for letter in self.entry.lower() if letter.isalnum() or letter in " -")
        return f"{PLAYBOOK}#{kept.replace(' ', '-')}"


_MINUTE = timedelta(minutes=1)
TIMINGS: dict[AlarmRule, AlarmTiming] = {
    AlarmRule.NO_ARRIVALS: AlarmTiming(entry="Nothing arrives"),
    AlarmRule.STALLED: AlarmTiming(entry="Images wait and nothing finishes", is_critical=True),
    AlarmRule.LATE: AlarmTiming(entry="The night will be late", raise_after=10 * _MINUTE, clear_after=10 * _MINUTE),
    AlarmRule.BAD_OUTCOMES: AlarmTiming(entry="Many images are rejected or failed", clear_after=10 * _MINUTE),
    AlarmRule.PART_SILENT: AlarmTiming(
        entry="A part of nightread is silent or was started again", raise_after=_MINUTE, is_critical=True
    ),
    AlarmRule.PART_RESTARTS: AlarmTiming(
        entry="A part of nightread is silent or was started again", raise_after=15 * _MINUTE
    ),
    AlarmRule.PAUSED: AlarmTiming(entry="Dispatch is paused"),
    AlarmRule.SOURCE_AWAY: AlarmTiming(entry="A source or store is unavailable", raise_after=3 * _MINUTE),
    AlarmRule.SENDERS_REFUSED: AlarmTiming(
        entry="Senders are refused", raise_after=10 * _MINUTE, clear_after=15 * _MINUTE
    ),
    AlarmRule.DESTINATION_AWAY: AlarmTiming(entry="Reports do not reach the PACS"),
    AlarmRule.REPORTS_FAILED: AlarmTiming(entry="Reports do not reach the PACS"),
    AlarmRule.SERIES_FAILED: AlarmTiming(entry="Series have no result", clear_after=10 * _MINUTE),
    AlarmRule.DISK: AlarmTiming(entry="The disk is full", clear_after=5 * _MINUTE, is_critical=True),
    AlarmRule.OLDEST_WAITING: AlarmTiming(entry="Images wait for too long"),
    AlarmRule.CLOCK: AlarmTiming(entry="A clock is wrong", raise_after=2 * _MINUTE),
    AlarmRule.MODEL_RANGE: AlarmTiming(
        entry="The model does not load, or all scores are wrong", clear_after=10 * _MINUTE
    ),
    AlarmRule.DRIFT: AlarmTiming(entry="A model sees other images than before"),
    AlarmRule.BACKUP: AlarmTiming(entry="The backup is old or missing"),
    AlarmRule.COUNTS: AlarmTiming(entry="The audit finds something", raise_after=2 * _MINUTE, is_critical=True),
    AlarmRule.DATABASE: AlarmTiming(entry="The database is unavailable or locked", is_critical=True),
    AlarmRule.CHANNEL_AWAY: AlarmTiming(entry="Alarms do not reach people"),
    AlarmRule.WATCHDOG: AlarmTiming(entry="Alarms do not reach people", is_critical=True),
}
