"""Cancel images when a person asks for it."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, update

from db.engine import Database
from db.tables import State, audit, in_state, work
from nightread.reasons import Reason


def cancel(database: Database, image_id: int, *, actor: str, now: datetime) -> bool:
    """Reject an image that waits, with the reason `cancelled`; a row of `audit` says who did it.

    Returns False if a worker has begun with the image, or if it has its outcome. `retry` takes it up again.
    """

    def transaction(connection: Connection) -> bool:
        if not connection.execute(_CANCEL, {"image": image_id, "now": now}).rowcount:
            return False
        detail = {"images": [image_id]}
        connection.execute(insert(audit).values(at=now, actor=actor, action="images.cancel", detail=detail))
        return True

    return database.write(transaction)


_CANCEL = (
    update(work)
    .where(work.c.instance_id == bindparam("image"), work.c.ordinal == 0, in_state(State.RECEIVED, State.QUEUED))
    .values(
        state=State.REJECTED,
        reason=Reason.CANCELLED.value,
        batch_id=None,
        not_before=None,
        lease_until=None,
        finished_at=bindparam("now"),
    )
)
