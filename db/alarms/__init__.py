"""Find out what is wrong now, as the rules of the alarms define it (docs/alarms.md)."""

from db.alarms.checks import AlarmChecks

__all__ = ["AlarmChecks"]
