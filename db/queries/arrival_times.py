"""Restrict queries to the arrivals of a time range."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, false, func, true

from db.tables import instances


def arrived_within(
    since: datetime | None, until: datetime | None, *, has_statistics: bool
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that an arrival is in this time range, without an effect on the choice of the index."""
    moment = instances.c.arrived_at
    if has_statistics:
        # PostgreSQL estimates that a CASE is true for half of the rows. For a plain range of times it would multiply
        # the estimate with that of the range of ids, although both match the same rows, and then choose a plan that
        # reads the whole night for a few of its images.
        yield case((and_(true(), *within(moment, since, until)), true()), else_=false())
    else:
        yield from within(func.coalesce(moment, moment), since, until)


def within(
    time: ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that a time is `since` or later, and before `until`."""
    if since is not None:
        yield time >= since
    if until is not None:
        yield time < until
