"""Count the arrivals of one night by state, reason and label."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, func, select

from db.engine import Database
from db.tables import State, instances, work


@dataclass(frozen=True, kw_only=True, slots=True)
class NightCounts:
    """The numbers of one night; the states add up to the arrivals."""

    arrived: int
    states: Counter[State] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    """Number of images by the label of their result."""


def night_counts(database: Database, since: datetime, until: datetime) -> NightCounts:
    """Count the arrivals from `since` (included) to `until` (excluded), by their first rows of work."""
    states, reasons, labels = Counter[State](), Counter[str](), Counter[str]()
    with database.read() as connection:
        for row in connection.execute(_COUNTS, {"since": since, "until": until}):
            states[State(row.state)] += row.images
            if row.reason is not None:
                reasons[row.reason] += row.images
            if row.label is not None:
                labels[row.label] += row.images
    return NightCounts(arrived=states.total(), states=states, reasons=reasons, labels=labels)


_COUNTS = (
    select(work.c.state, work.c.reason, work.c.label, func.count().label("images"))
    .join(instances, instances.c.id == work.c.instance_id)
    .where(
        work.c.ordinal == 0,
        instances.c.arrived_at >= bindparam("since"),
        instances.c.arrived_at < bindparam("until"),
    )
    .group_by(work.c.state, work.c.reason, work.c.label)
)
