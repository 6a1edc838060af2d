"""Judge the present condition: the problems and their levels, the waiting images, and the expected end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from db import queries
from db.clock_skew import TOLERATED_SECONDS, seconds_ahead
from db.condition.deadline import Outlook, Verdict, outlook
from db.condition.parts import Part, PartState, read_parts
from db.condition.remaining_work import RemainingWork, remaining_work
from db.condition.source_problems import source_problems
from db.condition.waiting import WaitingWork, waiting_for
from db.condition.words import NAMES
from db.engine import Database
from db.ledger import Cause, PartKind
from nightread.nights import Nights
from nightread.settings import Settings
from nightread.wording import counted, duration

STALLED = timedelta(minutes=10)
"""The work is stalled if images wait or are being analysed, and no batch was finished for this long."""


class Level(IntEnum):
    """How bad the condition is."""

    OK = 0
    LATE = 1
    """The results will not be complete, or were not complete, at the end of the night."""
    DEGRADED = 2
    """Something does not work as it should, but the analysis goes on."""
    STOPPED = 3
    """Images are not noticed or not analysed."""
    LOST = 4
    """The database does not account for each arrival."""

    @property
    def exit_code(self) -> int:
        """Return the exit code of `nightread status --check`: 0 fine, 1 late or degraded, 2 stopped or lost."""
        return 0 if self is Level.OK else 1 if self <= Level.DEGRADED else 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionProblem:
    """One thing that is wrong now."""

    level: Level
    kind: str
    """A stable word for programs: `part`, `source`, `pause`, `deadline`, `stalled`, `clock`, `disk` or `counts`."""
    subject: str
    """What the problem is about, as one word: the kind of a part, the name of a source, the cause of a pause, the name
    of a node, or the verdict on the deadline. Empty if the kind says it already."""
    text: str
    """A sentence for people, without a full stop. It may name a source, so it must not become a metric label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemCondition:
    """The present condition of the whole system."""

    at: datetime
    tally: queries.Tally
    parts: Sequence[Part]
    sources: Sequence[queries.Source]
    left: RemainingWork
    waiting: WaitingWork
    outlook: Outlook
    problems: Sequence[ConditionProblem]
    """All problems, the worst first."""

    @property
    def level(self) -> Level:
        """Return the level of the worst problem."""
        return max((problem.level for problem in self.problems), default=Level.OK)

    @property
    def is_idle(self) -> bool:
        """Return whether there is no problem and nothing left to do: no unfinished image, no file that is arriving."""
        return not (self.tally.unfinished or self.waiting.unregistered_files or self.problems)


def read_condition(
    database: Database,
    settings: Settings,
    nights: Nights,
    *,
    now: datetime,
    further: Sequence[ConditionProblem] = (),
    tally: queries.Tally | None = None,
) -> SystemCondition:
    """Read the present condition from the database.

    `further` are problems that the caller found elsewhere. A caller that has counted the images already passes its
    `tally`, so that they are not counted again.
    """
    ahead = seconds_ahead(database, lambda: now)  # measured first, because `now` is older after a slow count
    tally = tally or queries.tally(database)
    parts = read_parts(database, settings, now=now, ahead_seconds=ahead)
    sources = queries.sources(database)
    left = remaining_work(database, settings, unfinished=tally.unfinished, now=now)
    waiting = waiting_for(tally, left, sources)
    ends = outlook(database, left, tally, nights, now)
    problems = [
        *_counts(tally),
        *part_problems(parts),
        *_drained(parts),
        *_pauses(left),
        *_sources(sources, parts, settings, now),
        *_stalled(database, waiting, parts, now),
        *_deadline(ends),
        *_clock(ahead, parts),
        *further,
    ]
    return SystemCondition(
        at=now,
        tally=tally,
        parts=parts,
        sources=sources,
        left=left,
        waiting=waiting,
        outlook=ends,
        problems=sorted(problems, key=lambda problem: -problem.level),
    )


def _counts(tally: queries.Tally) -> Iterator[ConditionProblem]:
    if not tally.adds_up:
        yield ConditionProblem(
            level=Level.LOST, kind="counts", subject="", text="the counts do not add up: run `nightread audit`"
        )


def part_problems(parts: Sequence[Part]) -> Iterator[ConditionProblem]:
    """Yield a problem for each part that does not work as it should."""
    for part in parts:
        if (text := _PART_TEXTS.get(part.state)) is None:
            continue
        others = any(other.state.works for other in parts if other.kind is part.kind)
        needed = part.kind in _NEEDED and not (others and part.kind is PartKind.WORKER)
        is_out = part.state not in (PartState.STARTING, PartState.RESTARTED)
        wanted = part.expected or part.state is not PartState.STOPPED
        level = Level.STOPPED if needed and is_out and wanted else Level.DEGRADED
        yield ConditionProblem(level=level, kind="part", subject=part.kind.value, text=text.format(**_words(part)))


def _drained(parts: Sequence[Part]) -> Iterator[ConditionProblem]:
    """Yield a problem if a worker drains and no other worker takes batches."""
    workers = [part for part in parts if part.kind is PartKind.WORKER]
    if any(part.state is PartState.DRAINING for part in workers) and not any(part.state.works for part in workers):
        text = "no worker takes images, because all of them drain (`nightread drain`)"
        yield ConditionProblem(level=Level.STOPPED, kind="part", subject=PartKind.WORKER.value, text=text)


def _words(part: Part) -> dict[str, str]:
    many = part.kind is PartKind.WORKER and part.node
    name = f"{NAMES[part.kind]}{f' {part.node}' if many else ''}"
    return {"name": name, "ago": duration(part.seconds or 0.0)}


def _pauses(left: RemainingWork) -> Iterator[ConditionProblem]:
    for pause in left.pauses:
        if pause.cause is Cause.HOURS:
            continue  # the settings ask for this pause
        if pause.source is not None:
            level, text = Level.DEGRADED, f"the source {pause.source} is paused ({pause.cause})"
        else:
            level = Level.DEGRADED if pause.cause is Cause.PERSON else Level.STOPPED
            text = f"dispatch is paused ({pause.cause})"
        yield ConditionProblem(level=level, kind="pause", subject=pause.cause.value, text=text)


def _sources(
    sources: Sequence[queries.Source], parts: Sequence[Part], settings: Settings, now: datetime
) -> Iterator[ConditionProblem]:
    """Yield the problems of each source that the settings name or that a part of nightread serves."""
    served = {name for part in parts for name in part.sources}
    known = {source.name: source for source in sources}
    for name in sorted(served | {source.name for source in settings.sources}):
        source = known.get(name)
        if source is None or source.reported_at is None:
            yield ConditionProblem(
                level=Level.DEGRADED, kind="source", subject=name, text=f"the source {name} was not looked at yet"
            )
            continue
        for text in source_problems(source, now):
            yield ConditionProblem(level=Level.DEGRADED, kind="source", subject=name, text=f"the source {name}: {text}")


def _stalled(
    database: Database, waiting: WaitingWork, parts: Sequence[Part], now: datetime
) -> Iterator[ConditionProblem]:
    """Yield a problem if images are left, and batches were sent, but none was finished for ten minutes."""
    if not waiting.ready + waiting.being_analysed:
        return
    workers = [part.state for part in parts if part.kind is PartKind.WORKER]
    if not any(state.works or state is PartState.DRAINING for state in workers):
        return  # `part_problems` or `_drained` reports this
    since = queries.unanswered_since(database)
    if since is not None and now - since >= STALLED:
        number = counted(waiting.ready + waiting.being_analysed, "image waits", "images wait")
        text = f"{number} and no batch was finished for {duration((now - since).total_seconds())}"
        yield ConditionProblem(level=Level.STOPPED, kind="stalled", subject="", text=text)


def _deadline(ends: Outlook) -> Iterator[ConditionProblem]:
    if ends.verdict is Verdict.LATE:
        text = "images of the last night are unfinished" if ends.missed else "the results will be late"
        yield ConditionProblem(level=Level.LATE, kind="deadline", subject="late", text=text)
    elif ends.verdict is Verdict.AT_RISK:
        yield ConditionProblem(level=Level.LATE, kind="deadline", subject="at_risk", text="the results may be late")


def _clock(ahead: float, parts: Sequence[Part]) -> Iterator[ConditionProblem]:
    hosts = {part.node or "": part.ahead_seconds for part in parts if part.state.works}
    wrong = {node: seconds for node, seconds in hosts.items() if abs(seconds) > TOLERATED_SECONDS}
    if abs(ahead) > TOLERATED_SECONDS:
        wrong["this host"] = ahead
    for node, seconds in wrong.items():
        side = "ahead of" if seconds > 0 else "behind"
        yield ConditionProblem(
            level=Level.DEGRADED,
            kind="clock",
            subject=node,
            text=f"the clock of {node} is {abs(seconds):.0f} s {side} the clock of the database",
        )


_NEEDED = frozenset(PartKind) - {PartKind.SENDER, PartKind.WATCHDOG, PartKind.API, PartKind.FLOWER}
"""Parts without which images are not noticed or not analysed."""
_PART_TEXTS = {
    PartState.STARTING: "{name} is starting",
    PartState.RESTARTED: "{name} died {ago} ago and runs again",
    PartState.SILENT: "{name} is silent (last heartbeat {ago} ago)",
    PartState.HANGING: "{name} hangs (its main loop has not run for {ago})",
    PartState.STOPPED: "{name} was stopped {ago} ago",
    PartState.MISSING: "{name} does not run",
}
