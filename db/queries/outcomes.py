"""Find out which images have their outcome by now, for clients that wait for them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.tables import State, instances, work


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOutcome:
    """The outcome of one image, without anything that identifies a patient."""

    image_id: int
    state: State
    reason: str | None
    label: str | None
    finished_at: datetime


def finished_among(database: Database, image_ids: Collection[int]) -> dict[int, State]:
    """Return the states of those of the images that have their outcome, in one query for up to 5,000 images."""
    with database.read() as connection:
        rows = execute_in_chunks(connection, _FINISHED, "images", image_ids)
        return {row.instance_id: State(row.state) for row in rows}


def outcomes_since(database: Database, since: datetime, *, limit: int) -> list[ImageOutcome]:
    """Return the first outcomes that were recorded at this time or later, oldest first."""
    with database.read() as connection:
        return [_outcome(row) for row in connection.execute(_SINCE, {"since": since, "limit": limit})]


def members_of(database: Database, archive_id: int, *, limit: int) -> list[int]:
    """Return the ids of the first images that were unpacked from this archive."""
    with database.read() as connection:
        return list(connection.execute(_MEMBERS, {"archive": archive_id, "limit": limit}).scalars())


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
_SINCE = (
    select(work.c.instance_id, work.c.state, work.c.reason, work.c.label, work.c.finished_at)
    .where(work.c.finished_at >= bindparam("since"), work.c.ordinal == 0)
    .order_by(work.c.finished_at, work.c.instance_id)
    .limit(bindparam("limit"))
)
_MEMBERS = (
    select(instances.c.id)
    .where(instances.c.parent_id == bindparam("archive"))
    .order_by(instances.c.id)
    .limit(bindparam("limit"))
)
