"""Tell which parts of nightread are alive, silent, hanging, stopped or missing, from their heartbeats."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from db.clock_skew import TOLERATED_SECONDS, seconds_ahead
from db.condition.part_rows import PART_KINDS, PartRow, part_rows
from db.engine import Database
from db.ledger import PartKind
from db.ledger.heartbeats import FORGOTTEN_AFTER
from db.ledger.outbox import LIVE_SECONDS
from nightread.settings import Settings

SILENT_SECONDS = 30.0
"""A part that sent no heartbeat for this long is silent: three times the interval of the heartbeats."""
HANGING_SECONDS = 90.0
"""A main loop that begins no round for this long hangs; one round of the dispatcher takes less than a second."""
STARTING_SECONDS = 120.0
"""A part may take this long to its first heartbeat after `nightread up` starts, because workers load their models."""
DRAIN_SECONDS = 300.0
"""A worker that ends may take this long to finish its batches without a heartbeat; after that it counts as silent."""
RECENT = timedelta(minutes=10)
"""A part that died and runs again is reported as restarted until this long after its death."""

_PRODUCERS = {
    "folder": PartKind.WATCHER,
    "receiver": PartKind.RECEIVER,
    "dicomweb": PartKind.POLLER,
    "orthanc": PartKind.POLLER,
}
_OPTIONAL = frozenset({PartKind.API, PartKind.FLOWER, PartKind.SENDER, PartKind.SUPERVISOR, PartKind.WATCHDOG})
"""Parts that are not reported after they were stopped, unless the settings or `nightread up` expect them."""
_SEEN_BY_DISPATCHER = frozenset({PartKind.REDIS, PartKind.FLOWER})


class PartState(StrEnum):
    """What the heartbeats say of a part."""

    ALIVE = "alive"
    STARTING = "starting"
    DRAINING = "draining"
    """Alive, but it takes no more batches, because a person ordered this or because it is ending."""
    RESTARTED = "restarted"
    """Alive again after a death within the last ten minutes."""
    SILENT = "silent"
    HANGING = "hanging"
    """The process of the part is alive, but its main loop is not."""
    STOPPED = "stopped"
    """The part ended on purpose."""
    MISSING = "missing"
    """The part is expected and was never seen."""
    UNKNOWN = "unknown"
    """The dispatcher, which reports on this part, is silent."""

    @property
    def works(self) -> bool:
        """Return whether a part in this state does its work."""
        return self in (PartState.ALIVE, PartState.RESTARTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of nightread, as its latest heartbeat shows it."""

    kind: PartKind
    state: PartState
    node: str | None = None
    """Name of the part in its heartbeats, which includes its host; None if the part was never seen."""
    seen_at: datetime | None = None
    """Time of the latest heartbeat, by the clock of the database. For a part that was stopped this is the time of the
    stop; for one that was restarted, the time of the crash; for one that hangs, the time of the latest round of its
    main loop."""
    seconds: float | None = None
    """Seconds since `seen_at`."""
    ahead_seconds: float = 0.0
    """How far the clock of the part's host is ahead of the clock of the database."""
    heartbeat_at: datetime | None = None
    """Time of the latest heartbeat of the part, by the clock of the database; None if the part was never seen."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    expected: bool = False
    """Whether the settings or `nightread up` need this part."""

    @property
    def sources(self) -> Sequence[str]:
        """Return the names of the sources that the part serves."""
        return tuple(self.detail.get("sources", ()))


def read_parts(
    database: Database, settings: Settings, *, now: datetime, ahead_seconds: float | None = None
) -> list[Part]:
    """Return all parts that run, ran lately or are expected, in the order of PartKind.

    `now` is the time of this host, whose clock is `ahead_seconds` ahead of the clock of the database. If
    `ahead_seconds` is None, the difference is measured. Heartbeats are compared with the time of the database.
    """
    ahead = seconds_ahead(database, lambda: now) if ahead_seconds is None else ahead_seconds
    at = now - timedelta(seconds=ahead)
    rows = [row for row in part_rows(database) if at - row.ended_at < FORGOTTEN_AFTER]
    parts = [part for kind in PartKind for part in _of_kind(kind, [row for row in rows if row.kind is kind], at)]
    # `parts` has no `nightread up` that has a successor; what a predecessor started is not expected.
    supervisors = {part.node for part in parts if part.kind is PartKind.SUPERVISOR}
    started = {kind: age for row in rows if row.node in supervisors for kind, age in _started_by(row, at)}
    expected: dict[PartKind, float | None] = {**dict.fromkeys(expected_parts(settings)), **started}
    parts = [part for part in parts if part.state is not PartState.STOPPED or _is_missed(part, expected)]
    parts = [_unless_starting(part, started.get(part.kind)) for part in parts]
    parts.extend(_missing(expected, parts))
    looking_since = max((row.started_at for row in rows if row.kind is PartKind.DISPATCHER), default=at)
    parts = [_unless_unseen(part, looking_since, at) for part in _without_dispatcher(parts)]
    known = [replace(part, expected=part.kind in expected) for part in parts]
    return sorted(known, key=lambda part: _ORDER[part.kind])


def expected_parts(settings: Settings) -> frozenset[PartKind]:
    """Return the parts without which these settings cannot work."""
    senders = {PartKind.SENDER} if settings.destinations else set()
    watchdogs = {PartKind.WATCHDOG} if settings.alarm_channels or settings.monitor_url else set()
    producers = {_PRODUCERS[source.kind] for source in settings.sources}
    return frozenset({PartKind.DISPATCHER, PartKind.WORKER, PartKind.REDIS, *producers, *senders, *watchdogs})


def _of_kind(kind: PartKind, rows: Sequence[PartRow], at: datetime) -> Iterator[Part]:
    """Yield the parts of a kind, without those that ended and have a successor.

    A successor serves at least the same sources, and was first started after the other part had ended. Its name may
    differ, because a container gets a new host name at each start. A part that only restarted is not a successor.
    """
    parts = [(row, _judge(kind, row, at)) for row in rows]
    alive = (row for row, part in parts if part.state.works or part.state in _PRESENT)
    successors = sorted(alive, key=lambda row: row.first_started_at)
    deaths: list[datetime] = []
    kept: list[Part] = []
    for row, part in sorted(parts, key=lambda pair: pair[0].ended_at, reverse=True):
        later = [each for each in successors if each.first_started_at > row.ended_at and row.sources <= each.sources]
        if part.state in (PartState.SILENT, PartState.STOPPED) and later:
            successors.remove(later[0])
            deaths.extend([row.seen_at] if part.state is PartState.SILENT else ())
        else:
            kept.append(part)
    if deaths and at - max(deaths) < RECENT:
        yield from _with_death(kept, max(deaths), at)
    else:
        yield from kept


def _with_death(parts: Iterable[Part], died_at: datetime, at: datetime) -> Iterator[Part]:
    """Yield the parts. The first part that is alive becomes RESTARTED, with `died_at` as the time of its death."""
    noted = False
    for part in parts:
        if part.state is PartState.ALIVE and not noted:
            noted = True
            age = (at - died_at).total_seconds()
            yield replace(part, state=PartState.RESTARTED, seen_at=died_at, seconds=age)
        else:
            yield part


def _judge(kind: PartKind, row: PartRow, at: datetime) -> Part:
    age = (at - row.seen_at).total_seconds()
    state, seen_at = PartState.ALIVE, row.seen_at
    if row.stopped_at is not None:
        state, seen_at = PartState.STOPPED, row.stopped_at
    elif row.draining_at is not None and age <= DRAIN_SECONDS:
        # While Celery waits for the last batches before it ends, it runs no timers, so it sends no heartbeat.
        state = PartState.DRAINING
    elif age > (LIVE_SECONDS if kind is PartKind.WORKER else SILENT_SECONDS) or age < -TOLERATED_SECONDS:
        state = PartState.SILENT  # a heartbeat in the future was sent before the clock was set back
    elif row.worked_at is not None and (at - row.worked_at).total_seconds() > HANGING_SECONDS + _round_seconds(row):
        state, seen_at = PartState.HANGING, row.worked_at
    elif row.crashed_at is not None and at - row.crashed_at < RECENT:
        state, seen_at = PartState.RESTARTED, row.crashed_at
    return Part(
        kind=kind,
        state=state,
        node=row.node,
        seen_at=seen_at,
        seconds=max(0.0, (at - seen_at).total_seconds()),
        ahead_seconds=row.ahead,
        heartbeat_at=row.seen_at,
        detail=row.detail,
    )


def _round_seconds(row: PartRow) -> float:
    """Return how many seconds a round of the part may take in addition to HANGING_SECONDS; the part reports this."""
    return float(row.detail.get("round_seconds", 0.0))


def _started_by(row: PartRow, at: datetime) -> Iterator[tuple[PartKind, float]]:
    """Yield the parts that this `nightread up` started, each with the seconds since `nightread up` was started.

    Yield none if this `nightread up` was stopped. If it is silent, it starts nothing any more, so the seconds are
    infinite.
    """
    if row.kind is PartKind.SUPERVISOR and row.stopped_at is None:
        for part in row.detail.get("parts", ()):
            if part in PART_KINDS:
                is_silent = (at - row.seen_at).total_seconds() > SILENT_SECONDS
                yield PartKind(part), math.inf if is_silent else (at - row.started_at).total_seconds()


def _unless_starting(part: Part, age: float | None) -> Part:
    """Return the part; its state becomes STARTING if it ended before `nightread up` started.

    `age` is the time in seconds since that start.
    """
    if age is None or age > STARTING_SECONDS or part.state not in (PartState.SILENT, PartState.STOPPED):
        return part
    return part if (part.seconds or 0.0) <= age else Part(kind=part.kind, state=PartState.STARTING)


def _is_missed(part: Part, expected: Mapping[PartKind, float | None]) -> bool:
    return part.kind in expected or part.kind not in _OPTIONAL


def _missing(expected: Mapping[PartKind, float | None], parts: Sequence[Part]) -> Iterator[Part]:
    """Yield a part for each expected kind that is not among the parts; its state is STARTING or MISSING."""
    present = {part.kind for part in parts}
    for kind, age in expected.items():
        if kind not in present:
            is_new = age is not None and age < STARTING_SECONDS
            yield Part(kind=kind, state=PartState.STARTING if is_new else PartState.MISSING, seen_at=None)


def _without_dispatcher(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts; while the dispatcher is not alive, the state of the parts that it checks is unknown."""
    is_seen = any(part.kind is PartKind.DISPATCHER and part.state.works for part in parts)
    for part in parts:
        if part.kind in _SEEN_BY_DISPATCHER and not is_seen and part.state is not PartState.STOPPED:
            yield Part(kind=part.kind, state=PartState.UNKNOWN, node=part.node, detail=part.detail)
        else:
            yield part


def _unless_unseen(part: Part, looking_since: datetime, at: datetime) -> Part:
    """Return the part; RESTARTED becomes ALIVE if the part ended before the dispatcher started.

    A person may have stopped the part and the dispatcher together, on purpose.
    """
    if part.kind not in _SEEN_BY_DISPATCHER or part.state is not PartState.RESTARTED:
        return part
    if part.seen_at is None or part.heartbeat_at is None or part.seen_at >= looking_since:
        return part
    seconds = max(0.0, (at - part.heartbeat_at).total_seconds())
    return replace(part, state=PartState.ALIVE, seen_at=part.heartbeat_at, seconds=seconds)


_PRESENT = frozenset({PartState.HANGING, PartState.DRAINING})
_ORDER = {kind: position for position, kind in enumerate(PartKind)}
