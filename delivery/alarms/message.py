"""Compose the messages about alarms: JSON for programs, and a few lines for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from db.ledger.alarms import Alarm, AlarmEvent
from nightread.alarm_rules import TIMINGS, AlarmRule
from nightread.alarm_settings import Channel
from nightread.nights import Nights

_BODY_VERSION = 1
_VERBS = {"opened": "ALARM", "repeated": "STILL OPEN", "closed": "CLEARED", "test": "TEST"}
Body = Mapping[str, Any]


def notices_for(
    channels: Sequence[Channel], nights: Nights
) -> Callable[[AlarmEvent, Alarm], Iterator[tuple[str, Body]]]:
    """Return a function that yields the channels to notify of an event, each with the body of its message."""

    def notices_of(event: AlarmEvent, alarm: Alarm) -> Iterator[tuple[str, Body]]:
        body = alarm_body(event, alarm, nights)
        for channel in channels:
            wanted = not channel.rules or alarm.rule in channel.rules
            if wanted and (body["critical"] or not channel.critical_only):
                yield channel.name, body

    return notices_of


def alarm_body(event: AlarmEvent, alarm: Alarm, nights: Nights) -> Body:
    """Return the JSON of an event. It may name a part of nightread, a source or a model, but never a patient."""
    timing = TIMINGS[AlarmRule(alarm.rule)]
    return {
        "version": _BODY_VERSION,
        "event": event.value,
        "alarm": alarm.id,
        "rule": alarm.rule,
        "subject": alarm.subject,
        "text": alarm.text,
        "critical": timing.is_critical,
        "night": alarm.night,
        "opened_at": _iso(alarm.opened_at, nights),
        "last_seen_at": _iso(alarm.last_seen_at, nights),
        "closed_at": _iso(alarm.closed_at, nights),
        "acknowledged_by": alarm.acknowledged_by,
        "playbook": timing.link,
    }


def title_of(body: Body) -> str:
    """Return the title of a message for people, in one line."""
    if body["event"] == "result":
        return f"nightread RESULT: rule {body['rule']}"
    return f"nightread {_VERBS.get(body['event'], body['event'])}: {body['text']}"


def text_of(body: Body) -> str:
    """Return the text of a message for people, in a few lines."""
    if body["event"] == "result":
        mark = "\nNOT FOR DIAGNOSIS" if body["not_for_diagnosis"] else ""
        return f"A result matched the rule {body['rule']}: see `nightread trace {body['image']}`.{mark}\n"
    about = f" ({body['subject']})" if body["subject"] else ""
    lines = [
        f"{body['text'][:1].upper()}{body['text'][1:]}.",
        "",
        f"rule       {body['rule']}{about}",
        f"opened     {body['opened_at']}",
        *([f"cleared    {body['closed_at']}"] if body["closed_at"] else []),
        f"what to do {body['playbook']}",
        "",
        f"nightread alarms ack {body['alarm']}" if not body["closed_at"] else "Nothing needs to be done.",
    ]
    return "\n".join(lines) + "\n"


def _iso(moment: datetime | None, nights: Nights) -> str | None:
    return None if moment is None else nights.local(moment).isoformat(timespec="seconds")
