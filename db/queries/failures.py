"""Count the images without a result by reason and source."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from db.engine import Database
from db.queries.arrival_times import arrived_within
from db.queries.planning import id_range
from db.tables import State, in_state, instances, sources, work


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroup:
    """The images of one source that ended in one state for one reason."""

    state: str
    reason: str
    source: str
    images: int
    latest: datetime
    """The time of the latest of these outcomes."""


def failure_examples(
    database: Database, *, since: datetime | None = None, until: datetime | None = None, each: int = 5
) -> list[int]:
    """Return the ids of the newest failed and rejected arrivals of a period: up to `each` per state and reason."""
    newest = func.row_number().over(partition_by=(work.c.state, work.c.reason), order_by=work.c.instance_id.desc())
    joined = select(work.c.instance_id, newest.label("number")).join(instances, instances.c.id == work.c.instance_id)
    with database.read() as connection:
        numbered = joined.where(*_without_result(connection, since, until)).subquery()
        return list(connection.execute(select(numbered.c.instance_id).where(numbered.c.number <= each)).scalars())


def failure_groups(
    database: Database, *, since: datetime | None = None, until: datetime | None = None
) -> list[FailureGroup]:
    """Count failed and rejected arrivals of a period: failed before rejected, the most frequent reason first."""
    statement = (
        select(
            work.c.state,
            work.c.reason,
            sources.c.name.label("source"),
            func.count().label("images"),
            func.max(work.c.finished_at).label("latest"),
        )
        .join(instances, instances.c.id == work.c.instance_id)
        .join(sources, sources.c.id == instances.c.source_id)
        .group_by(work.c.state, work.c.reason, sources.c.name)
    )
    with database.read() as connection:
        rows = connection.execute(statement.where(*_without_result(connection, since, until))).all()
    groups = [
        FailureGroup(state=row.state, reason=row.reason or "", source=row.source, images=row.images, latest=row.latest)
        for row in rows
    ]
    return sorted(groups, key=lambda group: (group.state, -group.images, group.reason, group.source))


def _without_result(
    connection: Connection, since: datetime | None, until: datetime | None
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions for failed and rejected images of this time range.

    With their form, the search starts at the few rows of work in these states.
    """
    yield in_state(State.FAILED, State.REJECTED)
    yield work.c.finished_at.is_not(None)
    yield work.c.ordinal == 0
    if since is not None or until is not None:
        has_statistics = connection.dialect.name != "sqlite"
        if has_statistics:  # otherwise PostgreSQL reads all arrivals
            yield work.c.instance_id.between(*id_range(connection, since, until))
        yield from arrived_within(since, until, has_statistics=has_statistics)
