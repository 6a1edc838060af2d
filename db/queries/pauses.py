"""Read the active pauses, and the outcomes on which the circuit breaker decides."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, or_, select

from db.engine import Database
from db.ledger.pauses import Cause
from db.store_tables import pauses as pauses_table
from db.tables import State, batches, in_state, instances, sources, work
from nightread.reasons import Fault, Reason

_WINDOWS = 10
_DEFECTIVE = {reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE}
_OF_THE_SOURCE = {
    Reason.MISSING_FILE,
    Reason.SOURCE_GONE,
    Reason.STORE_UNAVAILABLE,
    Reason.UNREADABLE,
    Reason.IO_ERROR,
    Reason.STILL_CHANGING,
    Reason.STILL_ARRIVING,
}
"""Reasons of failures that a source causes, not the machine or the model."""
_Outcome = tuple[str, str | None]
"""State and reason."""
_SKEW = timedelta(seconds=60)
"""Outcomes have the time of the worker's host, whose clock may be this much behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """An active pause."""

    id: int
    cause: Cause
    source_id: int | None
    """The id of the paused source; None if all sources are paused."""
    source: str | None
    """The name of the paused source; None if all sources are paused."""
    detail: str
    actor: str
    since: datetime
    probe_batch: str | None
    """The batch that was sent despite the pause and whose outcomes are awaited."""
    probed_at: datetime | None
    """When the latest probe was sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """A summary of the outcomes of some images."""

    total: int
    bad: int
    """Number of images that failed, or were rejected because they are defective."""
    worst: str | None
    """The most frequent reason of the bad outcomes."""

    @property
    def share(self) -> float:
        """Return the share of bad outcomes, from 0 to 1; 0 if there are no outcomes."""
        return self.bad / self.total if self.total else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LatestOutcomes:
    """The latest outcomes, in all and by source."""

    faults: Outcomes
    """Outcomes of all sources. Only failures of the machine, the model or nightread count as bad, not those that a
    source causes."""
    faulty_sources: int
    """The number of sources whose images have a failure of the machine, the model or nightread."""
    by_source: dict[int, Outcomes]
    """Outcomes of each source, by its id."""


def pauses(database: Database) -> list[Pause]:
    """List the active pauses, oldest first; there is at most one per cause and source."""
    statement = (
        select(pauses_table, sources.c.name.label("source"))
        .outerjoin(sources, sources.c.id == pauses_table.c.source_id)
        .where(pauses_table.c.ended_at.is_(None))
        .order_by(pauses_table.c.id)
    )
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [
        Pause(
            id=row.id,
            cause=Cause(row.cause),
            source_id=row.source_id,
            source=row.source,
            detail=row.detail,
            actor=row.actor,
            since=row.began_at,
            probe_batch=row.probe_batch,
            probed_at=row.probed_at,
        )
        for row in rows
    ]


def held_images(database: Database, source_ids: Collection[int], *, now: datetime) -> int:
    """Return how many images of these sources wait for a batch, without those that wait for a later time.

    `queries.postponed` counts the images that wait for a later time.
    """
    if not source_ids:
        return 0
    statement = (
        select(func.count())
        .select_from(work.join(instances, instances.c.id == work.c.instance_id))
        .where(in_state(State.RECEIVED), work.c.ordinal == 0, instances.c.source_id.in_(source_ids))
        .where(or_(work.c.not_before.is_(None), work.c.not_before <= now))
    )
    with database.read() as connection:
        return connection.execute(statement).scalar_one()


def latest_outcomes(database: Database, *, at_most: int, since: datetime, now: datetime) -> LatestOutcomes:
    """Summarise the latest outcomes after `since`: `at_most` of all sources together, and `at_most` of each source.

    After a pause by the circuit breaker, only outcomes after the end of the pause count. This holds for the paused
    source, or for all sources if all dispatch was paused. The outcomes of each source are searched only
    among the latest outcomes of all sources, up to ten times `at_most`.
    """
    with database.read() as connection:
        ended = {row.source_id: row.ended_at for row in connection.execute(_PAUSES_ENDED)}
        after = max(since, ended.pop(None, since))
        window = {"after": after, "now": now, "limit": _WINDOWS * at_most}
        rows = [
            row
            for row in connection.execute(_LATEST, window)
            if row.source_id not in ended or row.finished_at > ended[row.source_id]
        ]
    by_source: dict[int, list[_Outcome]] = defaultdict(list)
    for row in rows:
        by_source[row.source_id].append((row.state, row.reason))
    faults = [row for row in rows[:at_most] if _is_fault(row.state, row.reason)]
    return LatestOutcomes(
        faults=_summed([(row.state, row.reason) for row in rows[:at_most]], _is_fault),
        faulty_sources=len({row.source_id for row in faults}),
        by_source={source_id: _summed(outcomes[:at_most]) for source_id, outcomes in by_source.items()},
    )


def probe_outcomes(database: Database, pause: Pause) -> Outcomes | None:
    """Summarise the final outcomes of the probe of this pause; None while the batch of the probe is open."""
    with database.read() as connection:
        still_open = select(batches.c.id).where(batches.c.id == pause.probe_batch, batches.c.finished_at.is_(None))
        if pause.probed_at is None or connection.execute(still_open).first():
            return None
        of_probe = select(work.c.state, work.c.reason).where(
            work.c.finished_at >= pause.probed_at - _SKEW, work.c.batch_id == pause.probe_batch, work.c.ordinal == 0
        )
        return _summed([(row.state, row.reason) for row in connection.execute(of_probe)])


def _is_bad(state: str, reason: str | None) -> bool:
    return state == State.FAILED or (state == State.REJECTED and reason in _DEFECTIVE)


def _is_fault(state: str, reason: str | None) -> bool:
    return state == State.FAILED and reason not in _OF_THE_SOURCE


def _summed(outcomes: Collection[_Outcome], is_bad: Callable[[str, str | None], bool] = _is_bad) -> Outcomes:
    bad = Counter(reason for state, reason in outcomes if is_bad(state, reason))
    worst = bad.most_common(1)[0][0] if bad else None
    return Outcomes(total=len(outcomes), bad=bad.total(), worst=worst)


_PAUSES_ENDED = (
    select(pauses_table.c.source_id, func.max(pauses_table.c.ended_at).label("ended_at"))
    .where(pauses_table.c.cause == Cause.BREAKER.value, pauses_table.c.ended_at.is_not(None))
    .group_by(pauses_table.c.source_id)
)
_LATEST = (
    select(instances.c.source_id, work.c.state, work.c.reason, work.c.finished_at)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(
        work.c.finished_at.is_not(None),
        work.c.finished_at > bindparam("after"),
        work.c.finished_at <= bindparam("now"),
        work.c.ordinal == 0,
    )
    .order_by(work.c.finished_at.desc(), work.c.id.desc())
    .limit(bindparam("limit"))
)
