"""Count the arrivals of a period by interval, and find their first and last id, for the night page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import JSON, Connection, bindparam, func, literal, select
from sqlalchemy import Interval as SqlInterval

from db.queries.planning import id_range
from db.tables import instances
from db.types import UtcDateTime

INTERVAL = timedelta(minutes=10)
"""Arrivals and outcomes are counted by intervals of this length, which begin at full ten minutes of UTC."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class NightArrivals:
    """The number of arrivals in a period, by interval, and the range of their ids."""

    at: dict[datetime, int]
    """Start of an interval -> arrivals, in order of time; intervals without arrivals are left out."""
    first_id: int
    last_id: int
    """Less than `first_id` if nothing arrived."""

    @property
    def images(self) -> int:
        """Return the number of arrivals in the period."""
        return sum(self.at.values())


def night_arrivals(connection: Connection, since: datetime, until: datetime) -> NightArrivals:
    """Count the arrivals from `since` (included) to `until` (excluded); only the index of arrival times is read."""
    return (_by_ranges if connection.dialect.name == "sqlite" else _by_groups)(connection, since, until)


def _by_ranges(connection: Connection, since: datetime, until: datetime) -> NightArrivals:
    """Count one range of the index per interval: SQLite sorts rows to group them, which takes three times as long."""
    starts = list(_starts(since, until))
    bounds = [(_text(max(start, since)), _text(min(start + INTERVAL, until))) for start in starts]
    counts = connection.execute(_COUNT_RANGES, {"ranges": bounds})
    first, last = id_range(connection, since, until)
    at = {starts[row.key]: row.images for row in counts if row.images}
    return NightArrivals(at=at, first_id=first, last_id=last)


def _text(moment: datetime) -> str:
    """Return a time as SQLite stores it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


def _starts(since: datetime, until: datetime) -> Iterator[datetime]:
    start = since - (since - _EPOCH) % INTERVAL
    while start < until:
        yield start
        start += INTERVAL


def _by_groups(connection: Connection, since: datetime, until: datetime) -> NightArrivals:
    """Read the index once, which contains the ids too on PostgreSQL."""
    rows = connection.execute(_GROUP, {"since": since, "until": until}).all()
    return NightArrivals(
        at={row.start: row.images for row in rows},
        first_id=min((row.first for row in rows), default=1),
        last_id=max((row.last for row in rows), default=0),
    )


_ARRIVED = instances.c.arrived_at
_BOUNDS = func.json_each(bindparam("ranges", type_=JSON)).table_valued("key", "value")
_COUNT = (
    select(func.count())
    .select_from(instances)
    .where(
        func.json_extract(_BOUNDS.c.value, "$[0]") <= _ARRIVED, func.json_extract(_BOUNDS.c.value, "$[1]") > _ARRIVED
    )
    .scalar_subquery()
)
_COUNT_RANGES = select(_BOUNDS.c.key, _COUNT.label("images")).order_by(_BOUNDS.c.key)
_START = func.date_bin(literal(INTERVAL, SqlInterval), _ARRIVED, literal(_EPOCH, UtcDateTime), type_=UtcDateTime)
# `+ 0` prevents PostgreSQL from reading ids in order until one matches.
_GROUP = (
    select(
        _START.label("start"),
        func.count().label("images"),
        func.min(instances.c.id + 0).label("first"),
        func.max(instances.c.id + 0).label("last"),
    )
    .where(bindparam("since", type_=UtcDateTime) <= _ARRIVED, bindparam("until", type_=UtcDateTime) > _ARRIVED)
    .group_by(_START)
    .order_by(_START)
)
