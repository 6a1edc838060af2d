"""Retry failed and rejected images when a person asks for it; this never happens automatically."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from db.engine import Database
from db.ledger.series_failures import collect_failed_series
from db.tables import State, audit, in_state, instances, work
from nightread.reasons import Reason

_IMAGES_AT_ONCE = 1000
_DANGEROUS = (Reason.KILLED_WORKER, Reason.TIMEOUT, Reason.OUT_OF_MEMORY)
"""Images that ended with one of these reasons get batches of their own when they are retried."""


def retry(database: Database, image_ids: Sequence[int], *, actor: str, now: datetime) -> int:
    """Set failed and rejected images to `received`; clear attempts, deaths and reasons. Returns the number of images.

    Failed series of these images are formed again. Images in other states and purged images stay unchanged. Each 1,000
    images are one transaction with a row of `audit`, which keeps their earlier states, reasons and attempts.
    """
    return sum(
        _retry_some(database, image_ids[begin : begin + _IMAGES_AT_ONCE], actor, now)
        for begin in range(0, len(image_ids), _IMAGES_AT_ONCE)
    )


def _retry_some(database: Database, image_ids: Sequence[int], actor: str, now: datetime) -> int:
    def transaction(connection: Connection) -> int:
        ended = connection.execute(_ENDED, {"images": image_ids}).all()
        if not ended:
            return 0
        taken = connection.execute(_AGAIN, {"images": [row.instance_id for row in ended]}).rowcount
        collect_failed_series(connection, [row.instance_id for row in ended], now)
        detail = {"images": [[row.instance_id, row.state, row.reason, row.attempts] for row in ended]}
        connection.execute(insert(audit).values(at=now, actor=actor, action="images.retry", detail=detail))
        return taken

    return database.write(transaction)


_MAY_BE_RETRIED = (
    work.c.instance_id.in_(bindparam("images", expanding=True)),
    work.c.ordinal == 0,
    in_state(State.FAILED, State.REJECTED),
    work.c.instance_id.not_in(
        select(instances.c.id).where(
            instances.c.id.in_(bindparam("images", expanding=True)), instances.c.purged_at.is_not(None)
        )
    ),
)

_ENDED = (
    select(work.c.instance_id, work.c.state, work.c.reason, work.c.attempts)
    .where(*_MAY_BE_RETRIED)
    .order_by(work.c.instance_id)
    .with_for_update()
)

_AGAIN = (
    update(work)
    .where(*_MAY_BE_RETRIED)
    .values(
        state=State.RECEIVED,
        batch_id=None,
        attempts=0,
        deaths=0,
        expiries=0,
        lease_until=None,
        not_before=None,
        tried_since=None,
        alone=or_(work.c.alone, func.coalesce(work.c.reason, "").in_([reason.value for reason in _DANGEROUS])),
        reason=None,
        detail=None,
        bundle_id=None,
        route_id=None,
        matched=None,
        finished_at=None,
    )
)
