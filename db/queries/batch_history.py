"""List batches with their sizes, times and outcomes."""

from typing import Any

from sqlalchemy import select

from db.engine import Database
from db.tables import batches


def batch_history(database: Database, *, limit: int) -> list[dict[str, Any]]:
    """Return the latest batches, the newest first, one dict per batch with aware times."""
    statement = (
        select(
            batches.c.id.label("batch_id"),
            batches.c.images,
            batches.c.bytes,
            batches.c.created_at,
            batches.c.claimed_at,
            batches.c.finished_at,
            batches.c.node,
            batches.c.process_index,
            batches.c.release,
            batches.c.seconds,
            batches.c.outcomes,
        )
        .order_by(batches.c.created_at.desc(), batches.c.id)
        .limit(limit)
    )
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(statement)]  # noqa: SLF001 - SQLAlchemy's name
