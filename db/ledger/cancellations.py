"""Cancel images when a person asks for it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, insert, update

from db.engine import Database
from db.ledger.series_failures import collect_series_of
from db.tables import State, audit, in_state, work
from nightread.reasons import Reason

_IMAGES_AT_ONCE = 1000


def cancel(database: Database, image_ids: Sequence[int], *, actor: str, now: datetime) -> list[int]:
    """Reject the images that no worker has claimed yet, with the reason `cancelled`; rows of `audit` name the actor.

    Returns the ids of the cancelled images in ascending order. Images that a worker has claimed, and images with an
    outcome, stay as they are. `retry` makes a cancelled image `received` again. A transaction cancels up to 1,000
    images.
    """
    cancelled: list[int] = []
    for start in range(0, len(image_ids), _IMAGES_AT_ONCE):
        chunk = image_ids[start : start + _IMAGES_AT_ONCE]
        cancelled += database.write(partial(_cancel, image_ids=chunk, actor=actor, now=now))
    return sorted(cancelled)


def _cancel(connection: Connection, *, image_ids: Sequence[int], actor: str, now: datetime) -> list[int]:
    cancelled = sorted(connection.execute(_CANCEL, {"images": list(image_ids), "now": now}).scalars())
    if cancelled:
        collect_series_of(connection, cancelled, now)
        detail = {"images": cancelled}
        connection.execute(insert(audit).values(at=now, actor=actor, action="images.cancel", detail=detail))
    return cancelled


_CANCEL = (
    update(work)
    .where(
        work.c.instance_id.in_(bindparam("images", expanding=True)),
        work.c.ordinal == 0,
        in_state(State.RECEIVED, State.QUEUED),
    )
    .values(
        state=State.REJECTED,
        reason=Reason.CANCELLED.value,
        detail=Reason.CANCELLED.message,
        batch_id=None,
        not_before=None,
        lease_until=None,
        finished_at=bindparam("now"),
    )
    .returning(work.c.instance_id)
)
