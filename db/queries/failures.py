"""Count the images without a result by reason and source."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select

from db.engine import Database
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


def failure_groups(
    database: Database, *, since: datetime | None = None, until: datetime | None = None
) -> list[FailureGroup]:
    """Count failed and rejected arrivals of a period, failed ones first, the most frequent reason first.

    The search starts with the rows of work in these states, of which there are few.
    """
    bounds: list[ColumnElement[bool]] = []
    # `+ 0` and coalesce: expressions, so that no index on arrivals leads the search.
    arrived: ColumnElement[Any] = func.coalesce(instances.c.arrived_at, instances.c.arrived_at)
    if since is not None:
        bounds.append(arrived >= since)
    if until is not None:
        bounds.append(arrived < until)
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
        .where(in_state(State.FAILED, State.REJECTED), work.c.finished_at.is_not(None), work.c.ordinal == 0, *bounds)
        .group_by(work.c.state, work.c.reason, sources.c.name)
    )
    with database.read() as connection:
        rows = connection.execute(statement).all()
    groups = [
        FailureGroup(state=row.state, reason=row.reason or "", source=row.source, images=row.images, latest=row.latest)
        for row in rows
    ]
    return sorted(groups, key=lambda group: (group.state, -group.images, group.reason, group.source))
