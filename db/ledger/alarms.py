"""Store alarms: open them once, repeat them, close them when their cause is gone, acknowledge and silence them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from db.alarm_tables import SUBJECT_LENGTH, TEXT_LENGTH, alarms, notices
from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.tables import audit
from nightread.alarm_rules import TIMINGS, AlarmRule
from nightread.plain_text import visible

FORGET_PENDING_AFTER = timedelta(minutes=10)
"""If the watchdog did not run for this long, a condition whose alarm is not open yet counts as new."""
PENDING_GAP = timedelta(minutes=1)
"""A condition may disappear for less than this time and still count as continuous while its alarm is not open yet.

For example, a worker that cannot load its model is alive for a second at each start.
"""
LONGEST_SILENCE = timedelta(days=31)


class AlarmEvent(StrEnum):
    """A change of an alarm; the channels get a notice of each change."""

    OPENED = "opened"
    REPEATED = "repeated"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One condition that a rule finds now."""

    rule: AlarmRule
    subject: str
    """The part, source, sender, destination or model concerned; empty if the rule has only one subject."""
    text: str
    """A sentence for people, without a full stop; it identifies no patient."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """One row of the table `alarms`."""

    id: int
    rule: str
    """The value of an AlarmRule, or of a rule that only a newer release has."""
    subject: str
    night: str
    text: str
    first_seen_at: datetime
    last_seen_at: datetime
    opened_at: datetime | None
    notified_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    silenced_until: datetime | None = None
    silenced_by: str | None = None
    closed_at: datetime | None = None

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """Return the alarm of a row of the table."""
        return cls(**row._mapping)  # noqa: SLF001 - public in SQLAlchemy

    def is_silent(self, now: datetime) -> bool:
        """Return whether a person silenced the alarm until a time after `now`."""
        return self.silenced_until is not None and self.silenced_until > now


Notices = Callable[[AlarmEvent, Alarm], Iterable[tuple[str, Mapping[str, Any]]]]
"""Returns the notices of an event: for each, the name of the channel and the body."""


def note_findings(
    database: Database,
    findings: Iterable[Finding],
    *,
    now: datetime,
    night: date,
    notices_of: Notices,
    repeat_after: timedelta | None = None,
    unchecked: Collection[AlarmRule] = (),
) -> list[tuple[AlarmEvent, Alarm]]:
    """Open, keep or close alarms, and write the notices for the channels, in one transaction.

    `findings` are all conditions that hold now; alarms of the `unchecked` rules stay as they are. An open alarm that
    nobody acknowledged is repeated when its last notice is older than `repeat_after`. If two watchdogs run at the same
    time, each alarm is still opened and sent once. Returns the events for which notices were written.
    """
    found = {(finding.rule.value, finding.subject[:SUBJECT_LENGTH]): finding for finding in findings}

    def transaction(connection: Connection) -> list[tuple[AlarmEvent, Alarm]]:
        events: list[tuple[AlarmEvent, Alarm]] = []
        known = {(alarm.rule, alarm.subject): alarm for alarm in _open_alarms(connection, now)}
        for key, finding in found.items():
            alarm = known.get(key) or _insert(connection, key, finding, night, now)
            if alarm is not None:
                events.extend(_keep(connection, alarm, finding, now, repeat_after))
        for key, alarm in known.items():
            if key not in found and alarm.rule not in unchecked:
                events.extend(_end(connection, alarm, now))
        for event, alarm in events:
            if not alarm.is_silent(now):
                write_notices(connection, notices_of(event, alarm), alarm_id=alarm.id, now=now)
        return [(event, alarm) for event, alarm in events if not alarm.is_silent(now)]

    return database.write(transaction)


def acknowledge(database: Database, ids: Sequence[int], *, actor: str, now: datetime) -> list[int]:
    """Note that a person knows of these alarms, so that they are not repeated. Returns the ids of changed alarms."""
    values = {"acknowledged_at": now, "acknowledged_by": actor}
    return _change(database, ids, "alarm.acknowledge", values, {}, actor=actor, now=now)


def silence(database: Database, ids: Sequence[int], *, until: datetime, actor: str, now: datetime) -> list[int]:
    """Send no notices of these alarms until a time, even if they close and open again. Returns changed ids."""
    values = {"silenced_until": until, "silenced_by": actor}
    detail = {"until": until.isoformat()}
    return _change(database, ids, "alarm.silence", values, detail, actor=actor, now=now)


def remove_old_alarms(database: Database, *, before: datetime) -> int:
    """Remove alarms that closed before a time, with their notices. Returns the number of removed alarms.

    Notices of rules on results that were created before this time are removed too.
    """

    def transaction(connection: Connection) -> int:
        old = select(alarms.c.id).where(alarms.c.closed_at < before)
        connection.execute(delete(notices).where(notices.c.alarm_id.in_(old)))
        connection.execute(delete(notices).where(notices.c.alarm_id.is_(None), notices.c.created_at < before))
        return connection.execute(delete(alarms).where(alarms.c.closed_at < before)).rowcount

    return database.write(transaction)


def write_notices(
    connection: Connection,
    messages: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    alarm_id: int | None,
    now: datetime,
) -> None:
    """Store messages for channels; db.ledger.notices returns them to the process that sends them."""
    for channel, body in messages:
        values = {"channel": channel, "body": dict(body), "created_at": now, "not_before": now, "attempts": 0}
        connection.execute(insert(notices).values(alarm_id=alarm_id, **values))


def _open_alarms(connection: Connection, now: datetime) -> list[Alarm]:
    """Return all alarms that are not closed.

    Times after `now`, which were stored before the clock was set back, become `now`.
    """
    return [_not_after(Alarm.from_row(row), now) for row in connection.execute(_OPEN)]


def _not_after(alarm: Alarm, now: datetime) -> Alarm:
    silenced = alarm.silenced_until
    return replace(
        alarm,
        first_seen_at=min(alarm.first_seen_at, now),
        last_seen_at=min(alarm.last_seen_at, now),
        opened_at=alarm.opened_at and min(alarm.opened_at, now),
        notified_at=alarm.notified_at and min(alarm.notified_at, now),
        silenced_until=silenced and min(silenced, now + LONGEST_SILENCE),
    )


def _insert(connection: Connection, key: tuple[str, str], finding: Finding, night: date, now: datetime) -> Alarm | None:
    """Insert an alarm that is not open yet; return None if another watchdog inserted it at the same moment."""
    rule, subject = key
    before = connection.execute(_SILENCED, {"r": rule, "s": subject, "now": now}).one_or_none()
    row = {
        "rule": rule,
        "subject": subject,
        "night": night.isoformat(),
        "text": _text(finding),
        "first_seen_at": now,
        "last_seen_at": now,
        "silenced_until": before.silenced_until if before else None,
        "silenced_by": before.silenced_by if before else None,
    }
    if not insert_if_absent(connection, alarms, tuple(row), [tuple(row.values())]):
        return None
    return Alarm.from_row(connection.execute(_ONE, {"r": rule, "s": subject}).one())


def _keep(
    connection: Connection, alarm: Alarm, finding: Finding, now: datetime, repeat_after: timedelta | None
) -> list[tuple[AlarmEvent, Alarm]]:
    """Note that the condition still holds; the alarm opens when it has held for long enough."""
    if alarm.opened_at is None and now - alarm.last_seen_at > FORGET_PENDING_AFTER:
        alarm = replace(alarm, first_seen_at=now)
    event = None
    if alarm.opened_at is None:
        if now - alarm.first_seen_at >= TIMINGS[finding.rule].raise_after:
            event = AlarmEvent.OPENED
            alarm = replace(alarm, opened_at=now)
    elif _is_due(alarm, now, repeat_after):
        event = AlarmEvent.REPEATED
    alarm = replace(
        alarm,
        last_seen_at=now,
        text=_text(finding),
        notified_at=now if event and not alarm.is_silent(now) else alarm.notified_at,
    )
    fields = ("first_seen_at", "last_seen_at", "opened_at", "notified_at", "text")
    changes = {name: getattr(alarm, name) for name in fields}
    connection.execute(update(alarms).where(alarms.c.id == alarm.id).values(**changes))
    return [(event, alarm)] if event else []


def _is_due(alarm: Alarm, now: datetime, repeat_after: timedelta | None) -> bool:
    """Return whether an open alarm needs a notice. An alarm that opened while silenced needs one after the silence."""
    if alarm.acknowledged_at is not None or alarm.is_silent(now):
        return False
    if alarm.notified_at is None:
        return True
    return repeat_after is not None and now - alarm.notified_at >= repeat_after


def _end(connection: Connection, alarm: Alarm, now: datetime) -> list[tuple[AlarmEvent, Alarm]]:
    """Close an alarm whose condition has been gone for long enough; remove the alarm if it never opened."""
    timing = TIMINGS.get(AlarmRule(alarm.rule)) if alarm.rule in _RULES else None
    if timing is None:
        return []
    this = alarms.c.id == alarm.id
    if now - alarm.last_seen_at < (PENDING_GAP if alarm.opened_at is None else timing.clear_after):
        # This replaces a time after `now`, which was written before the clock was set back.
        connection.execute(update(alarms).where(this).values(last_seen_at=alarm.last_seen_at))
        return []
    if alarm.opened_at is None:
        connection.execute(delete(alarms).where(this))
        return []
    connection.execute(update(alarms).where(this).values(closed_at=now))
    was_told = alarm.notified_at is not None  # false if it opened and ended while it was silenced
    return [(AlarmEvent.CLOSED, replace(alarm, closed_at=now))] if was_told else []


def _change(
    database: Database,
    ids: Sequence[int],
    action: str,
    values: Mapping[str, object],
    detail: Mapping[str, object],
    *,
    actor: str,
    now: datetime,
) -> list[int]:
    def transaction(connection: Connection) -> list[int]:
        open_ids = select(alarms.c.id).where(
            alarms.c.id.in_(list(ids)), alarms.c.closed_at.is_(None), alarms.c.opened_at.is_not(None)
        )
        changed = list(connection.execute(open_ids.order_by(alarms.c.id)).scalars())
        if changed:
            connection.execute(update(alarms).where(alarms.c.id.in_(changed)).values(**values))
            entry = {"at": now, "actor": actor, "action": action, "detail": {"alarms": changed, **detail}}
            connection.execute(insert(audit).values(**entry))
        return changed

    return database.write(transaction)


def _text(finding: Finding) -> str:
    return visible(finding.text)[:TEXT_LENGTH]


_RULES = frozenset(rule.value for rule in AlarmRule)
_OPEN = select(alarms).where(alarms.c.closed_at.is_(None)).order_by(alarms.c.id).with_for_update()
_ONE = select(alarms).where(
    alarms.c.rule == bindparam("r"), alarms.c.subject == bindparam("s"), alarms.c.closed_at.is_(None)
)
_SILENCED = (
    select(alarms.c.silenced_until, alarms.c.silenced_by)
    .where(
        alarms.c.rule == bindparam("r"),
        alarms.c.subject == bindparam("s"),
        alarms.c.silenced_until > bindparam("now"),
    )
    .order_by(alarms.c.id.desc())
    .limit(1)
)
