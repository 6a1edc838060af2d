"""Read the pauses in force, and the outcomes on which the circuit breaker decides."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from db.engine import Database
from db.ledger.pauses import Cause
from db.tables import State, batches, work
from db.tables import pauses as pauses_table
from nightread.reasons import Fault, Reason

_SKEW = timedelta(seconds=60)
"""Outcomes have the time of the worker's host, whose clock may be this much behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A pause in force."""

    cause: Cause
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
    """Failed, or rejected because the image is defective."""
    worst: str | None
    """The most frequent reason of the bad outcomes."""

    @property
    def share(self) -> float:
        """Return the share of bad outcomes, from 0 to 1; 0 if there are no outcomes."""
        return self.bad / self.total if self.total else 0.0


def pauses(database: Database) -> list[Pause]:
    """List the pauses in force, oldest first; there is at most one per cause."""
    statement = select(pauses_table).where(pauses_table.c.ended_at.is_(None)).order_by(pauses_table.c.id)
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [
        Pause(
            cause=Cause(row.cause),
            detail=row.detail,
            actor=row.actor,
            since=row.began_at,
            probe_batch=row.probe_batch,
            probed_at=row.probed_at,
        )
        for row in rows
    ]


def latest_outcomes(database: Database, *, at_most: int, since: datetime, now: datetime) -> Outcomes:
    """Summarise up to `at_most` latest outcomes after `since` and after the circuit breaker's last pause."""
    ended = select(func.max(pauses_table.c.ended_at)).where(pauses_table.c.cause == Cause.BREAKER.value)
    with database.read() as connection:
        after = max(since, connection.execute(ended).scalar() or since)
        latest = (
            select(work.c.state, work.c.reason)
            .where(
                work.c.finished_at.is_not(None),
                work.c.finished_at > after,
                work.c.finished_at <= now,
                work.c.ordinal == 0,
            )
            .order_by(work.c.finished_at.desc(), work.c.id.desc())
            .limit(at_most)
        )
        return _summed(Counter({(row.state, row.reason): row.images for row in connection.execute(_counted(latest))}))


def probe_outcomes(database: Database, pause: Pause) -> Outcomes | None:
    """Summarise the outcomes of the pause's probe; None while its batch is open. Only final images count."""
    with database.read() as connection:
        still_open = select(batches.c.id).where(batches.c.id == pause.probe_batch, batches.c.finished_at.is_(None))
        if pause.probed_at is None or connection.execute(still_open).first():
            return None
        of_probe = select(work.c.state, work.c.reason).where(
            work.c.finished_at >= pause.probed_at - _SKEW, work.c.batch_id == pause.probe_batch, work.c.ordinal == 0
        )
        # Counted here, because SQLite reads the whole index on states to group rows. There is at most one batch.
        return _summed(Counter((row.state, row.reason) for row in connection.execute(of_probe)))


def _counted(chosen: Select[Any]) -> Select[Any]:
    rows = chosen.subquery()
    return select(rows.c.state, rows.c.reason, func.count().label("images")).group_by(rows.c.state, rows.c.reason)


def _summed(images: Counter[tuple[str, str | None]]) -> Outcomes:
    bad = Counter({reason: number for (state, reason), number in images.items() if _is_bad(state, reason)})
    worst = bad.most_common(1)[0][0] if bad else None
    return Outcomes(total=images.total(), bad=bad.total(), worst=worst)


def _is_bad(state: str, reason: str | None) -> bool:
    return state == State.FAILED or (state == State.REJECTED and reason in _DEFECTIVE)


_DEFECTIVE = {reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE}
