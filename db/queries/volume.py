"""Sum up the bytes of arrivals."""

from datetime import datetime

from sqlalchemy import func, select

from db.engine import Database
from db.tables import instances, sources


def bytes_arrived(database: Database, *, kind: str, since: datetime, until: datetime) -> int:
    """Return the bytes of all arrivals in this time range from sources of this kind; `until` is excluded."""
    statement = (
        select(func.coalesce(func.sum(instances.c.size), 0))
        .join(sources, sources.c.id == instances.c.source_id)
        .where(sources.c.kind == kind, instances.c.arrived_at >= since, instances.c.arrived_at < until)
    )
    with database.read() as connection:
        return int(connection.execute(statement).scalar_one())
