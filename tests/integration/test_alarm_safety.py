"""No fault of the watchdog is silent: a check that fails, a channel that is away, a source that no part serves."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from ledger_driver import SettableClock
from living_parts import beat, parts, worker_beat

from db import queries
from db.alarms import AlarmChecks, checks
from db.alarms.channels import channels_away
from db.alarms.of_condition import findings_of_condition
from db.condition import ConditionProblem, Level, read_condition
from db.engine import Database
from db.ledger import PartKind
from db.ledger.alarms import Alarm, AlarmEvent, Finding, note_findings
from db.ledger.notices import claim_notice, end_attempt, waiting_notices
from nightread.alarm_rules import AlarmRule
from nightread.nights import nights_of
from nightread.settings import load_settings

SETTINGS = load_settings(time_zone="UTC")
BACKUP = Finding(rule=AlarmRule.BACKUP, subject="", text="there is no backup")


def _to_pager(event: AlarmEvent, alarm: Alarm) -> Iterable[tuple[str, Mapping[str, Any]]]:
    yield "pager", {"event": event.value, "rule": alarm.rule}


def test_a_check_that_fails_is_an_alarm_and_silences_no_other(
    database: Database, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it found before stays open until the check works again."""
    watched = AlarmChecks(SETTINGS, nights_of(SETTINGS))
    monkeypatch.setattr(checks, "old_backup", lambda *_: [BACKUP])
    assert BACKUP in watched.findings(database, clock())
    assert watched.unchecked == frozenset()

    def broken(*_: object) -> Iterable[Finding]:
        raise ZeroDivisionError

    monkeypatch.setattr(checks, "old_backup", broken)
    clock.advance(minutes=2)
    (found,) = (each for each in watched.findings(database, clock()) if each.rule is AlarmRule.WATCHDOG)
    assert (found.subject, "cannot check backup" in found.text) == ("backup", True)
    assert watched.unchecked == {AlarmRule.BACKUP}

    monkeypatch.setattr(checks, "old_backup", lambda *_: [])
    clock.advance(minutes=2)
    rules = {each.rule for each in watched.findings(database, clock())}
    assert not rules & {AlarmRule.BACKUP, AlarmRule.WATCHDOG}
    assert watched.unchecked == frozenset()


def test_a_channel_that_takes_nothing_is_an_alarm_until_it_takes_a_message(
    database: Database, clock: SettableClock
) -> None:
    """Two failed attempts are no alarm: a channel may be away for a moment."""

    def attempt(problem: str | None) -> None:
        (notice,) = waiting_notices(database, now=clock())
        assert claim_notice(database, notice, now=clock())
        end_attempt(database, notice, problem, now=clock())

    night = clock().date()
    note_findings(database, [BACKUP], now=clock(), night=night, notices_of=_to_pager)
    for expected in ([], [], ["the channel pager did not accept 1 message"]):
        attempt("status 500")
        assert [found.text for found in channels_away(database, clock())] == expected
        clock.advance(minutes=10)
    assert queries.unsent_notices(database) == 1
    attempt(None)
    assert list(channels_away(database, clock())) == []
    assert queries.unsent_notices(database) == 0


def test_a_source_that_no_part_looks_at_is_an_alarm(database: Database, clock: SettableClock) -> None:
    """The settings of the watchdog name it, and those of the watcher do not."""
    condition = read_condition(database, SETTINGS, nights_of(SETTINGS), now=clock())
    text = "the source ward was not looked at yet"
    problem = ConditionProblem(level=Level.DEGRADED, kind="source", subject="ward", text=text)
    found = [each for each in findings_of_condition(replace(condition, problems=(problem,))) if each.subject == "ward"]
    assert found == [Finding(rule=AlarmRule.SOURCE_AWAY, subject="ward", text=text)]


def test_an_up_that_is_out_hides_the_parts_of_its_own_host_only(database: Database, clock: SettableClock) -> None:
    """A part of another host that is out as well is an alarm of its own."""
    up = {"parts": ["worker", "receiver", "watcher"]}
    beat(database, PartKind.SUPERVISOR, now=clock(), node="gpu", detail=up)
    beat(database, PartKind.RECEIVER, now=clock(), node="gpu-0a1b2c3d", detail={"sources": ["ct"]})
    beat(database, PartKind.RECEIVER, now=clock(), node="gpu-2-0a1b2c3d", detail={"sources": ["mr"]})
    worker_beat(database, now=clock(), node="nightread@gpu")
    worker_beat(database, now=clock(), node="nightread@gpu-2")
    now = clock.advance(minutes=2)
    condition = read_condition(database, SETTINGS, nights_of(SETTINGS), now=now)
    condition = replace(condition, parts=parts(database, now))
    found = {each.subject for each in findings_of_condition(condition) if each.rule is AlarmRule.PART_SILENT}
    assert found == {"up gpu", "receiver gpu-2-0a1b2c3d", "worker nightread@gpu-2", "dispatcher"}


def test_the_condition_names_every_rule_that_it_checks() -> None:
    """Otherwise an alarm would close while its check fails."""
    others = {rule for rule in AlarmRule if rule not in checks._OF_CONDITION}
    assert others == {
        AlarmRule.NO_ARRIVALS,
        AlarmRule.BAD_OUTCOMES,
        AlarmRule.OLDEST_WAITING,
        AlarmRule.MODEL_RANGE,
        AlarmRule.DRIFT,
        AlarmRule.BACKUP,
        AlarmRule.DESTINATION_AWAY,
        AlarmRule.REPORTS_FAILED,
        AlarmRule.SERIES_FAILED,
        AlarmRule.DATABASE,
        AlarmRule.CHANNEL_AWAY,
        AlarmRule.WATCHDOG,
    }
