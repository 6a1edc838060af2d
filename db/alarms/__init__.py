"""Find the conditions that are alarms by the rules in docs/alarms.md."""

from db.alarms.checks import AlarmChecks

__all__ = ["AlarmChecks"]
