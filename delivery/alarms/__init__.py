"""Watch nightread, and notify people of alarms (docs/alarms.md)."""

from delivery.alarms.watch import AlarmWatch

__all__ = ["AlarmWatch"]
