"""Which studies are complete, by count."""

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
"""A study of which nobody says how large it is may be whole when nothing has come for so long."""
_TRUST = ("store", "manifest", "header")
"""Whose number counts, where several say one."""


class Completeness(StrEnum):
    """What can be said of a study's images."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    QUIET = "quiet"
    """Nobody says how many there are, and none has come for a while."""
    ARRIVING = "arriving"


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One study and its images, each counted once however often it came."""

    study_instance_uid: str
    images: int
    """Different instances that were read, whatever became of them: reports and other objects without image too."""
    done: int
    no_result: int
    """Failed, or rejected as defective."""
    unfinished: int
    withdrawn: int
    expected: int | None
    reported_by: str | None
    """Who said so: store, manifest or header."""
    first_arrival: datetime | None
    last_arrival: datetime | None
    completeness: Completeness

    @property
    def words(self) -> str:
        """Such as `incomplete (6490 of 6500)`."""
        if self.expected is None:
            return self.completeness.value
        return f"{self.completeness.value} ({self.images} of {self.expected})"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyCounts:
    """Of studies of which somebody said how large they are."""

    complete: int
    incomplete: int


def studies(
    database: Database,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    study_instance_uid: str | None = None,
    limit: int | None = None,
) -> Iterator[Study]:
    """Studies of which images arrived, or a number was told, in this time; the latest first, streamed."""
    named = _named(since, until, study_instance_uid)
    with snapshot(database) as connection:
        for row in stream(connection, _statement(named).limit(limit)):
            yield _study(row, now)


def study_counts(database: Database, *, since: datetime) -> StudyCounts:
    """Of the studies of which a number was told in this time: what `status` says at each look."""
    recent = select(expected.c.study_instance_uid).where(expected.c.reported_at >= since)
    wanted = _expected(recent).subquery()
    arrived = (
        select(func.count(distinct(instances.c.sop_instance_uid)))
        .where(instances.c.study_instance_uid == wanted.c.study_instance_uid)
        .scalar_subquery()
    )
    is_complete = select((arrived >= wanted.c.images).label("complete")).subquery()
    statement = select(func.count().filter(is_complete.c.complete), func.count()).select_from(is_complete)
    with database.read() as connection:
        complete, total = connection.execute(statement).one()
    return StudyCounts(complete=complete, incomplete=total - complete)


def withdrawn(database: Database) -> int:
    """Arrivals that key object notes reject."""
    with database.read() as connection:
        return connection.execute(select(func.count()).where(instances.c.withdrawn_by.is_not(None))).scalar_one()


def _named(since: datetime | None, until: datetime | None, study_instance_uid: str | None) -> Any:
    """The studies that are asked for, each once."""
    arrived = select(instances.c.study_instance_uid).where(
        instances.c.study_instance_uid.is_not(None), *_within(instances.c.arrived_at, since, until)
    )
    told = select(expected.c.study_instance_uid).where(*_within(expected.c.reported_at, since, until))
    if study_instance_uid is not None:
        arrived = arrived.where(instances.c.study_instance_uid == study_instance_uid)
        told = told.where(expected.c.study_instance_uid == study_instance_uid)
    return union(arrived, told)


def _within(
    moment: ColumnElement[Any], since: datetime | None, until: datetime | None
) -> Iterator[ColumnElement[bool]]:
    if since is not None:
        yield moment >= since
    if until is not None:
        yield moment < until


def _statement(named: Any) -> Select[Any]:
    chosen = named.subquery()
    told = _expected(select(chosen.c.study_instance_uid)).subquery()
    return (
        select(
            chosen.c.study_instance_uid,
            told.c.images.label("expected"),
            told.c.reported_by,
            func.min(instances.c.arrived_at).label("first_arrival"),
            func.max(instances.c.arrived_at).label("last_arrival"),
            *(_different(condition).label(name) for name, condition in _COUNTED.items()),
        )
        .select_from(chosen)
        .outerjoin(told, told.c.study_instance_uid == chosen.c.study_instance_uid)
        .outerjoin(instances, instances.c.study_instance_uid == chosen.c.study_instance_uid)
        .outerjoin(work, and_(work.c.instance_id == instances.c.id, work.c.ordinal == 0))
        .group_by(chosen.c.study_instance_uid, told.c.images, told.c.reported_by)
        .order_by(func.max(instances.c.id).desc(), chosen.c.study_instance_uid)
    )


def _different(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """How many different instances there are among these arrivals."""
    return func.count(distinct(case((condition, instances.c.sop_instance_uid))))


def _expected(of: Any) -> Select[Any]:
    """The number of each study that counts, and who said it."""
    numbers = [func.max(case((expected.c.reported_by == reported_by, expected.c.images))) for reported_by in _TRUST]
    who = [case((number.is_not(None), reported_by)) for number, reported_by in zip(numbers, _TRUST, strict=True)]
    return (
        select(
            expected.c.study_instance_uid,
            func.coalesce(*numbers).label("images"),
            func.coalesce(*who).label("reported_by"),
        )
        .where(expected.c.study_instance_uid.in_(of))
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
_COUNTED: dict[str, ColumnElement[bool]] = {
    "images": instances.c.id.is_not(None),
    "done": work.c.state.in_((State.DONE.value, State.DUPLICATE.value)),
    "no_result": or_(work.c.state == State.FAILED.value, work.c.reason.in_(_DEFECTIVE)),
    "unfinished": work.c.state.in_(UNFINISHED),
    "withdrawn": instances.c.withdrawn_by.is_not(None),
}
