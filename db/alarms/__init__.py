"""Find out what is wrong now, as the rules of the alarms define it (docs/alarms.md)."""

from db.alarms.checks import AlarmChecks
from db.alarms.habits import Habits
from db.alarms.queries import alarms, unsent_notices

__all__ = ["AlarmChecks", "Habits", "alarms", "unsent_notices"]
