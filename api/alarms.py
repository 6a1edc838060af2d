"""Write alarms as JSON, for `nightread alarms --json`."""

from datetime import datetime
from typing import Any

from db.ledger.alarms import Alarm
from nightread.alarm_rules import TIMINGS, AlarmRule

_KNOWN = frozenset(rule.value for rule in AlarmRule)


def alarm_json(alarm: Alarm) -> dict[str, Any]:
    """Return one alarm as an object for JSON. Later releases keep the names of its members."""
    known = TIMINGS[AlarmRule(alarm.rule)] if alarm.rule in _KNOWN else None
    return {
        "id": alarm.id,
        "rule": alarm.rule,
        "subject": alarm.subject,
        "text": alarm.text,
        "critical": bool(known and known.is_critical),
        "night": alarm.night,
        "opened_at": _iso(alarm.opened_at),
        "last_seen_at": _iso(alarm.last_seen_at),
        "acknowledged_at": _iso(alarm.acknowledged_at),
        "acknowledged_by": alarm.acknowledged_by,
        "silenced_until": _iso(alarm.silenced_until),
        "silenced_by": alarm.silenced_by,
        "closed_at": _iso(alarm.closed_at),
        "playbook": known.link if known else None,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
