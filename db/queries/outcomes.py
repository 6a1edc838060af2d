"""Find out which images have their outcome by now, for clients that wait for them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.tables import State, batches, work


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOutcome:
    """The outcome of one image, without anything that identifies a patient."""

    image_id: int
    state: State
    reason: str | None
    label: str | None
    finished_at: datetime


def finished_among(database: Database, image_ids: Collection[int]) -> dict[int, State]:
    """Return the final state of each image that has an outcome, in one query for up to 5,000 images."""
    with database.read() as connection:
        rows = execute_in_chunks(connection, _FINISHED, "images", image_ids)
        return {row.instance_id: State(row.state) for row in rows}


def outcomes_of(database: Database, batch_id: str) -> list[ImageOutcome]:
    """Return the outcomes that were recorded with this batch; none while the batch is open."""
    with database.read() as connection:
        finished_at = connection.execute(_FINISHED_AT, {"batch": batch_id}).scalar()
        rows = connection.execute(_OF_BATCH, {"batch": batch_id, "at": finished_at}) if finished_at else ()
        return [_outcome(row) for row in rows]


def _outcome(row: Any) -> ImageOutcome:
    return ImageOutcome(
        image_id=row.instance_id,
        state=State(row.state),
        reason=row.reason,
        label=row.label,
        finished_at=row.finished_at,
    )


_FINISHED = select(work.c.instance_id, work.c.state).where(
    work.c.instance_id.in_(bindparam("images", expanding=True)), work.c.ordinal == 0, work.c.finished_at.is_not(None)
)
_FINISHED_AT = select(batches.c.finished_at).where(batches.c.id == bindparam("batch"))
# The index on batch_id holds only unfinished work. The index on finished_at finds the rows: they have the batch's time.
_OF_BATCH: Select[Any] = (
    select(work.c.instance_id, work.c.state, work.c.reason, work.c.label, work.c.finished_at)
    .where(work.c.finished_at == bindparam("at"), work.c.batch_id == bindparam("batch"), work.c.ordinal == 0)
    .order_by(work.c.instance_id)
)
