"""Compare the images of studies with their expected numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, distinct, func, or_, select, union

from db.engine import Database
from db.queries.snapshot import snapshot, stream
from db.store_tables import expected
from db.tables import UNFINISHED, State, instances, work
from nightread.reasons import Fault, Reason

QUIET_AFTER = timedelta(minutes=15)
"""A study without an expected number counts as quiet when its last image arrived this long ago."""
_NEWEST = 20_000
_PRECEDENCE = ("store", "manifest", "header")
"""The origins of expected numbers. The number of the first origin that has one is used."""


class Completeness(StrEnum):
    """The completeness of a study, by number of images."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    QUIET = "quiet"
    """The expected number is unknown, and no image arrived for QUIET_AFTER."""
    ARRIVING = "arriving"
    """The expected number is unknown, and an image arrived within QUIET_AFTER."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One study; each instance counts once, even if it arrived several times."""

    study_instance_uid: str
    images: int
    """Different instances that arrived, including objects that are no images, but not reports of nightread."""
    done: int
    no_result: int
    """Instances that failed or are defective."""
    unfinished: int
    withdrawn: int
    expected: int | None
    reported_by: str | None
    """The origin of the expected number: store, manifest or header."""
    first_arrival: datetime | None
    last_arrival: datetime | None
    completeness: Completeness

    @property
    def words(self) -> str:
        """Return the completeness in words, such as `incomplete (6490 of 6500)`."""
        if self.expected is None:
            return self.completeness.value
        return f"{self.completeness.value} ({self.images} of {self.expected})"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyCounts:
    """Numbers of complete and incomplete studies among those with an expected number."""

    complete: int
    incomplete: int


@dataclass(frozen=True, kw_only=True, slots=True)
class IncompleteStudy:
    """A study with fewer images than expected."""

    study_instance_uid: str
    expected: int
    reported_by: str
    arrived: int
    """Number of different instances that arrived, as in `Study.images`."""

    @property
    def missing(self) -> int:
        """Return the number of images that did not arrive."""
        return self.expected - self.arrived


def studies(
    database: Database,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    study_instance_uid: str | None = None,
    reported: bool = False,
    limit: int | None = None,
) -> Iterator[Study]:
    """Stream studies that got an image or an expected number in this time range, the latest first.

    If `reported` is set, only studies that got an expected number in this time range are streamed.
    """
    named = _named(since, until, study_instance_uid, reported=reported)
    with snapshot(database) as connection:
        for row in stream(connection, _statement(named).limit(limit)):
            yield _study(row, now)


def latest_studies(
    database: Database, *, now: datetime, since: datetime | None, until: datetime | None, limit: int
) -> list[Study]:
    """List the studies of the last 20,000 arrivals of this time range, the newest first, at most `limit`.

    Unlike `studies`, this counts only the images of the listed studies, so that it is fast for a large night too.
    """
    newest = (
        select(instances.c.id, instances.c.study_instance_uid)
        .where(*_within(instances.c.arrived_at, since, until))
        .order_by(instances.c.arrived_at.desc())
        .limit(_NEWEST)
        .subquery()
    )
    chosen = (
        select(newest.c.study_instance_uid)
        .where(newest.c.study_instance_uid.is_not(None))
        .group_by(newest.c.study_instance_uid)
        .order_by(func.max(newest.c.id).desc())
        .limit(limit)
    )
    with snapshot(database) as connection:
        return [_study(row, now) for row in connection.execute(_statement(chosen))]


def study_counts(database: Database, *, since: datetime) -> StudyCounts:
    """Count the studies whose expected number was reported at `since` or later, for `nightread status`."""
    counted = _arrived_of_expected(since, None).subquery()
    is_complete = counted.c.arrived >= counted.c.expected
    statement = select(func.count().filter(is_complete), func.count()).select_from(counted)
    with database.read() as connection:
        complete, total = connection.execute(statement).one()
    return StudyCounts(complete=complete, incomplete=total - complete)


def incomplete_studies(database: Database, *, since: datetime, until: datetime) -> list[IncompleteStudy]:
    """List incomplete studies whose expected number was reported in this time range.

    The studies that miss most images are first. This counts the instances of all studies with an expected number, which
    takes about 0.15 s for 2,000 studies of 50 images.
    """
    counted = _arrived_of_expected(since, until).subquery()
    statement = (
        select(counted)
        .where(counted.c.arrived < counted.c.expected)
        .order_by((counted.c.expected - counted.c.arrived).desc(), counted.c.study_instance_uid)
    )
    with database.read() as connection:
        return [IncompleteStudy(**row._asdict()) for row in connection.execute(statement)]


def withdrawn(database: Database) -> int:
    """Return the number of arrivals that key object notes reject."""
    with database.read() as connection:
        return connection.execute(select(func.count()).where(instances.c.withdrawn_by.is_not(None))).scalar_one()


def _named(since: datetime | None, until: datetime | None, study_instance_uid: str | None, *, reported: bool) -> Any:
    """Select the requested studies, each once."""
    arrived = select(instances.c.study_instance_uid).where(
        instances.c.study_instance_uid.is_not(None), *_within(instances.c.arrived_at, since, until)
    )
    numbered = select(expected.c.study_instance_uid).where(*_within(expected.c.reported_at, since, until))
    if study_instance_uid is not None:
        arrived = arrived.where(instances.c.study_instance_uid == study_instance_uid)
        numbered = numbered.where(expected.c.study_instance_uid == study_instance_uid)
    return numbered.distinct() if reported else union(arrived, numbered)


def _within(
    moment: ColumnElement[Any], since: datetime | None, until: datetime | None
) -> Iterator[ColumnElement[bool]]:
    if since is not None:
        yield moment >= since
    if until is not None:
        yield moment < until


def _statement(named: Any) -> Select[Any]:
    chosen = named.subquery()
    reported = _expected(select(chosen.c.study_instance_uid)).subquery()
    return (
        select(
            chosen.c.study_instance_uid,
            reported.c.images.label("expected"),
            reported.c.reported_by,
            func.min(instances.c.arrived_at).label("first_arrival"),
            func.max(instances.c.arrived_at).label("last_arrival"),
            *(_different(condition).label(name) for name, condition in _COUNTED.items()),
        )
        .select_from(chosen)
        .outerjoin(reported, reported.c.study_instance_uid == chosen.c.study_instance_uid)
        .outerjoin(instances, instances.c.study_instance_uid == chosen.c.study_instance_uid)
        .outerjoin(work, and_(work.c.instance_id == instances.c.id, work.c.ordinal == 0))
        .group_by(chosen.c.study_instance_uid, reported.c.images, reported.c.reported_by)
        .order_by(func.max(instances.c.id).desc(), chosen.c.study_instance_uid)
    )


def _arrived_of_expected(since: datetime, until: datetime | None) -> Select[Any]:
    """Select the studies whose expected number was reported in this time range, with the number of their instances."""
    reported = select(expected.c.study_instance_uid).where(*_within(expected.c.reported_at, since, until))
    wanted = _expected(reported).subquery()
    # Reports of nightread itself are few: with a list of them, `work` is not read for each image.
    ours = select(work.c.instance_id).where(
        work.c.reason == Reason.OWN_RESULT.value, work.c.finished_at.is_not(None), work.c.ordinal == 0
    )
    arrived = (
        select(func.count(distinct(instances.c.sop_instance_uid)))
        .where(instances.c.study_instance_uid == wanted.c.study_instance_uid, instances.c.id.not_in(ours))
        .scalar_subquery()
    )
    return select(
        wanted.c.study_instance_uid,
        wanted.c.images.label("expected"),
        wanted.c.reported_by,
        arrived.label("arrived"),
    )


def _different(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Count the different instances among the arrivals that match the condition."""
    return func.count(distinct(case((condition, instances.c.sop_instance_uid))))


def _expected(wanted: Any) -> Select[Any]:
    """Select the expected number of each study, and who reported it."""
    numbers = [
        func.max(case((expected.c.reported_by == reported_by, expected.c.images))) for reported_by in _PRECEDENCE
    ]
    reporters = [
        case((number.is_not(None), reported_by)) for number, reported_by in zip(numbers, _PRECEDENCE, strict=True)
    ]
    return (
        select(
            expected.c.study_instance_uid,
            func.coalesce(*numbers).label("images"),
            func.coalesce(*reporters).label("reported_by"),
        )
        .where(expected.c.study_instance_uid.in_(wanted))
        .group_by(expected.c.study_instance_uid)
    )


def _study(row: Row[Any], now: datetime) -> Study:
    values = row._asdict()
    return Study(**values, completeness=_completeness(row, now))


def _completeness(row: Row[Any], now: datetime) -> Completeness:
    if row.expected is not None:
        return Completeness.COMPLETE if row.images >= row.expected else Completeness.INCOMPLETE
    return Completeness.QUIET if now - row.last_arrival >= QUIET_AFTER else Completeness.ARRIVING


_DEFECTIVE = [reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE]
_IS_NOT_OURS = work.c.reason.is_distinct_from(Reason.OWN_RESULT.value)
_COUNTED: dict[str, ColumnElement[bool]] = {
    "images": and_(instances.c.id.is_not(None), _IS_NOT_OURS),
    "done": work.c.state.in_((State.DONE.value, State.DUPLICATE.value)),
    "no_result": or_(work.c.state == State.FAILED.value, work.c.reason.in_(_DEFECTIVE)),
    "unfinished": work.c.state.in_(UNFINISHED),
    "withdrawn": instances.c.withdrawn_by.is_not(None),
}
