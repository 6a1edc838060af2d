"""An alarm opens once, repeats, closes by itself, and can be acknowledged and silenced, on both databases."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ledger_driver import SettableClock
from sqlalchemy import select

from db import queries
from db.alarm_tables import alarms as alarms_table
from db.alarm_tables import notices
from db.engine import Database
from db.ledger.alarms import (
    Alarm,
    AlarmEvent,
    Finding,
    acknowledge,
    note_findings,
    remove_old_alarms,
    silence,
)
from db.ledger.notices import claim_notice, end_attempt, waiting_notices
from db.tables import audit
from nightread.alarm_rules import AlarmRule

HOUR = timedelta(hours=1)
PAUSED = Finding(rule=AlarmRule.PAUSED, subject="breaker", text="dispatch is paused")
SILENT = Finding(rule=AlarmRule.PART_SILENT, subject="worker", text="worker is silent")


def _note(database: Database, clock: SettableClock, *findings: Finding) -> list[str]:
    events = note_findings(
        database, findings, now=clock(), night=clock().date(), notices_of=_one_channel, repeat_after=HOUR
    )
    return [event.value for event, _ in events]


def _one_channel(event: AlarmEvent, alarm: Alarm) -> Iterable[tuple[str, Mapping[str, Any]]]:
    yield "pager", {"event": event.value, "rule": alarm.rule}


def _sent(database: Database) -> list[str]:
    with database.read() as connection:
        return [row.body["event"] for row in connection.execute(select(notices).order_by(notices.c.id))]


def test_an_alarm_opens_once_repeats_each_hour_and_closes(database: Database, clock: SettableClock) -> None:
    """A condition that is gone for less than two minutes does not close it."""
    assert _note(database, clock, PAUSED) == ["opened"]
    for _ in range(119):
        clock.advance(seconds=30)
        assert _note(database, clock, PAUSED) == []
    clock.advance(seconds=30)
    assert _note(database, clock, PAUSED) == ["repeated"]
    clock.advance(seconds=90)
    assert _note(database, clock) == []
    assert _note(database, clock, PAUSED) == []
    clock.advance(minutes=2)
    assert _note(database, clock) == ["closed"]
    assert _sent(database) == ["opened", "repeated", "closed"]
    assert queries.alarms(database, is_open=True) == []
    (alarm,) = queries.alarms(database)
    assert (alarm.night, alarm.closed_at) == ("2026-11-05", clock())


def test_a_condition_must_last_before_anybody_is_told(database: Database, clock: SettableClock) -> None:
    """A part that is silent for less than a minute leaves no trace."""
    assert _note(database, clock, SILENT) == []
    clock.advance(seconds=59)
    assert _note(database, clock, SILENT) == []
    assert queries.alarms(database) == []
    clock.advance(minutes=1)
    assert _note(database, clock) == []
    with database.read() as connection:
        assert connection.execute(select(alarms_table)).all() == []
    assert _note(database, clock, SILENT) == []
    clock.advance(minutes=1)
    assert _note(database, clock, SILENT) == ["opened"]


def test_a_condition_that_is_gone_for_moments_counts_as_lasting(database: Database, clock: SettableClock) -> None:
    """A worker that cannot load its model is alive for a second at each of its starts."""
    assert _note(database, clock, SILENT) == []
    for found in ([], [SILENT], []):
        clock.advance(seconds=20)
        assert _note(database, clock, *found) == []
    clock.advance(seconds=20)
    assert _note(database, clock, SILENT) == ["opened"]


def test_a_pending_condition_begins_anew_after_a_stop_of_the_watchdog(database: Database, clock: SettableClock) -> None:
    """What it saw yesterday says nothing of the time between."""
    _note(database, clock, SILENT)
    clock.advance(hours=20)
    assert _note(database, clock, SILENT) == []
    clock.advance(minutes=1)
    assert _note(database, clock, SILENT) == ["opened"]


def test_an_acknowledged_alarm_is_not_repeated_and_still_closes(database: Database, clock: SettableClock) -> None:
    """The audit table says who acknowledged it."""
    _note(database, clock, PAUSED)
    (alarm,) = queries.alarms(database, is_open=True)
    assert acknowledge(database, [alarm.id, 999], actor="ann", now=clock()) == [alarm.id]
    clock.advance(hours=3)
    assert _note(database, clock, PAUSED) == []
    clock.advance(minutes=2)
    assert _note(database, clock) == ["closed"]
    with database.read() as connection:
        (entry,) = connection.execute(select(audit)).all()
    assert (entry.actor, entry.action, entry.detail) == ("ann", "alarm.acknowledge", {"alarms": [alarm.id]})


def test_a_silenced_alarm_sends_nothing_until_its_time(database: Database, clock: SettableClock) -> None:
    """Also if it closes and opens again meanwhile; afterwards it is told if it still lasts."""
    _note(database, clock, PAUSED)
    (alarm,) = queries.alarms(database, is_open=True)
    silence(database, [alarm.id], until=clock() + 4 * HOUR, actor="ann", now=clock())
    clock.advance(hours=2)
    assert _note(database, clock, PAUSED) == []
    clock.advance(minutes=2)
    assert _note(database, clock) == []
    assert queries.alarms(database, is_open=True) == []
    assert _note(database, clock, PAUSED) == []
    clock.advance(hours=2)
    assert _note(database, clock, PAUSED) == ["repeated"]
    assert _sent(database) == ["opened", "repeated"]


def test_an_alarm_that_begins_and_ends_in_silence_is_never_told(database: Database, clock: SettableClock) -> None:
    """A closing message would name an alarm that nobody has heard of; the list has it."""
    _note(database, clock, PAUSED)
    (alarm,) = queries.alarms(database, is_open=True)
    silence(database, [alarm.id], until=clock() + 4 * HOUR, actor="ann", now=clock())
    clock.advance(minutes=2)
    assert _note(database, clock) == []
    clock.advance(hours=3)
    assert _note(database, clock, PAUSED) == []
    clock.advance(hours=2)
    assert _note(database, clock) == []
    assert _sent(database) == ["opened"]
    assert [closed.closed_at is not None for closed in queries.alarms(database)] == [True, True]


def test_a_clock_that_is_set_back_neither_opens_nor_closes_nor_stops_the_repeats(
    database: Database, clock: SettableClock
) -> None:
    """An hour is seen twice: nothing is sent twice, and nothing waits for the lost hour."""
    _note(database, clock, PAUSED)
    clock.advance(minutes=50)
    assert _note(database, clock, PAUSED) == []
    clock.advance(hours=-1)
    assert _note(database, clock, PAUSED) == []
    assert _note(database, clock) == []
    clock.advance(minutes=2)
    assert _note(database, clock) == ["closed"]
    assert _note(database, clock, SILENT) == []
    clock.advance(hours=-1)
    assert _note(database, clock, SILENT) == []
    clock.advance(minutes=1)
    assert _note(database, clock, SILENT) == ["opened"]
    clock.advance(hours=1)
    assert _note(database, clock, SILENT) == ["repeated"]


def test_rules_that_were_not_checked_keep_their_alarms(database: Database, clock: SettableClock) -> None:
    """A check that could not be made is no proof that all is well."""
    _note(database, clock, PAUSED)
    clock.advance(hours=1)
    common: dict[str, Any] = {"night": clock().date(), "notices_of": _one_channel}
    assert note_findings(database, [], now=clock(), unchecked=[AlarmRule.PAUSED], **common) == []
    assert len(queries.alarms(database, is_open=True)) == 1


def test_a_notice_is_tried_again_with_growing_pauses_for_a_day(database: Database, clock: SettableClock) -> None:
    """The closing message of an alarm never overtakes its opening."""
    _note(database, clock, PAUSED)
    clock.advance(minutes=2)
    _note(database, clock)
    waits = []
    for _ in range(7):
        (notice,) = waiting_notices(database, now=clock())
        assert notice.body["event"] == "opened"
        assert claim_notice(database, notice, now=clock())
        assert not claim_notice(database, notice, now=clock())
        end_attempt(database, notice, "status 500", now=clock())
        began = clock()
        while not waiting_notices(database, now=clock()):
            clock.advance(seconds=10)
        waits.append((clock() - began).total_seconds())
    assert waits == [10, 30, 120, 600, 1800, 3600, 3600]
    (notice,) = waiting_notices(database, now=clock())
    end_attempt(database, notice, None, now=clock())
    (closing,) = waiting_notices(database, now=clock())
    assert closing.body["event"] == "closed"
    end_attempt(database, closing, "status 500", now=clock.advance(hours=24))
    assert waiting_notices(database, now=clock.advance(days=1)) == []
    assert queries.unsent_notices(database) == 0


def test_the_pauses_between_attempts(database: Database, clock: SettableClock) -> None:
    """10 s, 30 s, 2, 10, 30 minutes, and then an hour each; the problem is cut to 100 characters."""
    _note(database, clock, PAUSED)
    for seconds in (10, 30, 120, 600, 1800, 3600, 3600):
        (notice,) = waiting_notices(database, now=clock())
        assert claim_notice(database, notice, now=clock())
        end_attempt(database, notice, "x" * 101, now=clock())
        assert waiting_notices(database, now=clock.advance(seconds=seconds - 1)) == []
        clock.advance(seconds=1)
    with database.read() as connection:
        assert connection.execute(select(notices.c.detail)).scalar_one() == "x" * 100


def test_an_attempt_concerns_one_notice(database: Database, clock: SettableClock) -> None:
    """The notice of another alarm waits on."""
    _note(database, clock, PAUSED, replace(PAUSED, subject="person"))
    first, second = waiting_notices(database, now=clock())

    assert claim_notice(database, first, now=clock())
    assert waiting_notices(database, now=clock()) == [second]


def test_a_notice_whose_sender_died_is_sent_again(database: Database, clock: SettableClock) -> None:
    """At least once: its number tells the receiver that it is the same."""
    _note(database, clock, PAUSED)
    (notice,) = waiting_notices(database, now=clock())
    assert claim_notice(database, notice, now=clock())
    assert waiting_notices(database, now=clock.advance(seconds=119)) == []
    (again,) = waiting_notices(database, now=clock.advance(seconds=1))
    assert again.id == notice.id


@pytest.mark.parametrize("days", [399, 401])
def test_old_alarms_are_removed_with_their_notices(database: Database, clock: SettableClock, days: int) -> None:
    """After `alarm_keep_days`; open ones stay."""
    _note(database, clock, PAUSED)
    clock.advance(minutes=2)
    _note(database, clock)
    _note(database, clock, PAUSED)
    clock.advance(days=days)
    assert remove_old_alarms(database, before=clock() - timedelta(days=400)) == (1 if days > 400 else 0)
    assert len(queries.alarms(database, is_open=True)) == 1
