"""Turn the problems that `nightread status` shows into findings of the rules of alarms."""

import re
from collections.abc import Container, Iterator
from datetime import datetime, timedelta

from db.condition.condition import ConditionProblem, SystemCondition, part_problems
from db.condition.parts import Part, PartState
from db.condition.source_problems import away_problems, refused_problems, unwatched_problem
from db.ledger import Cause, PartKind
from db.ledger.alarms import Finding
from db.queries import Pause, Source
from nightread.alarm_rules import AlarmRule
from nightread.wording import duration

PERSON_PAUSE = timedelta(hours=4)
"""A pause by a person is an alarm after this time: the person may have forgotten it."""
_OUT = frozenset({PartState.SILENT, PartState.HANGING, PartState.STOPPED, PartState.MISSING})
_RULES = {
    "deadline": AlarmRule.LATE,
    "stalled": AlarmRule.STALLED,
    "clock": AlarmRule.CLOCK,
    "disk": AlarmRule.DISK,
    "counts": AlarmRule.COUNTS,
}


def findings_of_condition(condition: SystemCondition) -> Iterator[Finding]:
    """Yield a finding for each part that does not work, each pause, each unavailable source and each other problem."""
    yield from _parts(condition)
    for pause in condition.left.pauses:
        yield from _pause(pause, condition.at)
    served = {name for part in condition.parts for name in part.sources}
    watched = {name for part in condition.parts if part.state.works for name in part.sources}
    for source in condition.sources:
        if source.name in served:
            yield from _source(source, condition.at)
        if source.name in watched and (text := unwatched_problem(source, condition.at)):
            yield Finding(rule=AlarmRule.PART_SILENT, subject=f"source {source.name}", text=text)
    yield from _unserved_sources(condition, served)
    for problem in condition.problems:
        if rule := _RULES.get(problem.kind):
            yield Finding(rule=rule, subject=_subject(problem), text=problem.text)


def _subject(problem: ConditionProblem) -> str:
    """Return the subject of the finding.

    It is empty for `deadline`, so that "may be late" and "will be late" are one alarm.
    """
    return "" if problem.kind == "deadline" else problem.subject


def _parts(condition: SystemCondition) -> Iterator[Finding]:
    """Yield a finding for each part that restarts or does not work.

    If a `nightread up` does not work, only it has a finding, and the parts that it starts have none.
    """
    ups = [part for part in condition.parts if part.kind is PartKind.SUPERVISOR and part.state in _OUT]
    for part in condition.parts:
        if part.state is PartState.RESTARTED:
            rule = AlarmRule.PART_RESTARTS
        elif part.state in _OUT and not any(_is_started_by(up, part) for up in ups):
            rule = AlarmRule.PART_SILENT
        else:
            continue
        for problem in part_problems([part]):
            yield Finding(rule=rule, subject=_part_name(part), text=problem.text)


def _is_started_by(up: Part, part: Part) -> bool:
    """Return whether `up` starts `part`: it starts parts of this kind, and `part` ran on its host or was never seen."""
    if part.kind.value not in up.detail.get("parts", ()):
        return False
    host = re.escape(up.node or "")
    return part.node is None or re.fullmatch(rf"(.*@)?{host}(-[0-9a-f]{{8}})?", part.node) is not None


def _part_name(part: Part) -> str:
    return f"{part.kind.value} {part.node}" if part.node else part.kind.value


def _pause(pause: Pause, now: datetime) -> Iterator[Finding]:
    age = now - pause.since
    if pause.cause is Cause.HOURS:
        return
    if pause.cause is Cause.DISK:
        yield Finding(rule=AlarmRule.DISK, subject="dispatch", text="dispatch is paused, because a disk is nearly full")
    elif pause.cause is Cause.BREAKER or age >= PERSON_PAUSE:
        what = "dispatch" if pause.source is None else f"the source {pause.source}"
        by = "the circuit breaker" if pause.cause is Cause.BREAKER else "a person"
        text = f"{what} has been paused by {by} for {duration(max(0.0, age.total_seconds()))}"
        yield Finding(rule=AlarmRule.PAUSED, subject=f"{pause.cause.value} {pause.source or ''}".strip(), text=text)


def _unserved_sources(condition: SystemCondition, served: Container[str]) -> Iterator[Finding]:
    """Yield a finding for each source of the settings that has a problem and that no part serves."""
    texts: dict[str, list[str]] = {}
    for problem in condition.problems:
        if problem.kind == "source" and problem.subject not in served:
            texts.setdefault(problem.subject, []).append(problem.text)
    for name, found in texts.items():
        yield Finding(rule=AlarmRule.SOURCE_AWAY, subject=name, text="; ".join(found))


def _source(source: Source, now: datetime) -> Iterator[Finding]:
    if away := list(away_problems(source, now)):
        text = f"the source {source.name}: {'; '.join(away)}"
        yield Finding(rule=AlarmRule.SOURCE_AWAY, subject=source.name, text=text)
    if refused := list(refused_problems(source)):
        text = f"the source {source.name}: {'; '.join(refused)}"
        yield Finding(rule=AlarmRule.SENDERS_REFUSED, subject=source.name, text=text)
    if (source.report or {}).get("disk_short") or (source.report or {}).get("disk_low"):
        text = f"the source {source.name} takes no images, or will soon take none, because a disk is nearly full"
        yield Finding(rule=AlarmRule.DISK, subject=source.name, text=text)
