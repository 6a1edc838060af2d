"""Compare the expected end of the work with the deadline of the night."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select

from db import queries
from db.condition.remaining_work import RemainingWork
from db.engine import Database
from db.tables import IN_BATCH, State, in_state, instances, work
from nightread.nights import Nights

_FAR_SECONDS = 10 * 365 * 86400.0


class Verdict(StrEnum):
    """How the expected end compares with the deadline."""

    DONE = "done"
    """No image is ready: each one has its outcome, or waits for a later time or a paused source."""
    ON_TIME = "on_time"
    AT_RISK = "at_risk"
    """The earliest expected end is before the deadline, the latest is after it or unknown."""
    LATE = "late"
    """The earliest expected end is after the deadline, or images of the last night are unfinished after its end."""
    UNKNOWN = "unknown"
    """No image was finished in the last minute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """The expected end of the images that are ready or being analysed."""

    deadline: datetime
    verdict: Verdict
    done_by: datetime | None
    """The expected end; None if it is unknown, or if no image is ready."""
    earliest: datetime | None
    latest: datetime | None
    """The latest expected end. It is None if `done_by` is None, or if the throughput was 0 for a while, so that no
    latest end is certain."""
    missed: datetime | None
    """The end of the last night, if images of that night are unfinished; images that were retried later do not
    count."""

    def to_json(self) -> dict[str, Any]:
        """Return the object for `status --json`; its names are stable."""
        return {
            "verdict": self.verdict.value,
            "done_by_earliest": _iso(self.earliest),
            "done_by_latest": _iso(self.latest),
            "missed_deadline": _iso(self.missed),
        }


def outlook(database: Database, left: RemainingWork, tally: queries.Tally, nights: Nights, now: datetime) -> Outlook:
    """Return the expected end of the work, its range, and how they compare with the deadline."""
    deadline = nights.next_end(now)
    missed = _missed(database, nights, now) if tally.unfinished else None
    pace = left.pace
    soonest, latest = pace.soonest_seconds, pace.latest_seconds
    if not left.ready:
        verdict = Verdict.LATE if missed else Verdict.DONE
        return Outlook(deadline=deadline, verdict=verdict, done_by=None, earliest=None, latest=None, missed=missed)
    done_by, earliest, last = (_after(now, seconds) for seconds in (pace.eta_seconds, soonest, latest))
    if missed:
        verdict = Verdict.LATE
    elif done_by is None or earliest is None:
        verdict = Verdict.UNKNOWN if now < deadline else Verdict.LATE
    elif earliest > deadline:
        verdict = Verdict.LATE
    else:
        verdict = Verdict.ON_TIME if last is not None and last <= deadline else Verdict.AT_RISK
    return Outlook(deadline=deadline, verdict=verdict, done_by=done_by, earliest=earliest, latest=last, missed=missed)


def _missed(database: Database, nights: Nights, now: datetime) -> datetime | None:
    """Return the end of the last night if one of its images is unfinished.

    Images that a person retried after the end of the night do not count.
    """
    since, until = nights.bounds(nights.latest(now))
    if now < until:
        return None
    oldest = queries.oldest_unfinished(database)
    if oldest is None or oldest >= until:
        return None
    if not _count_unfinished(database, since, until, most=1):
        return None
    retried = queries.retried_later(database, since=since, until=until)
    number = retried.unfinished if retried else 0
    return until if _count_unfinished(database, since, until, most=number + 1) > number else None


def _count_unfinished(database: Database, since: datetime, until: datetime, *, most: int) -> int:
    """Count the unfinished images that arrived in this time range.

    Waiting images and images in batches are each counted up to `most`.
    """
    found = 0
    for condition in _UNFINISHED:
        statement = (
            select(work.c.instance_id)
            .join(instances, instances.c.id == work.c.instance_id)
            .where(condition, work.c.ordinal == 0, instances.c.arrived_at >= since, instances.c.arrived_at < until)
            .limit(most)
        )
        with database.read() as connection:
            found += connection.execute(select(func.count()).select_from(statement.subquery())).scalar_one()
    return found


def _after(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=min(seconds, _FAR_SECONDS))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


_UNFINISHED = (in_state(State.RECEIVED), IN_BATCH)
