"""Claim batches, renew their leases, and requeue the images of dead processes."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, literal, select, update

from db.engine import Database
from db.ledger.origins import origin_name
from db.ledger.values import Claimed, WorkerProcess
from db.tables import IN_BATCH, State, batches, in_state, instances, sources, work
from nightread.reasons import Reason

DEATHS_ALLOWED = 3
_KILLED = f"The worker process died {DEATHS_ALLOWED} times while it worked on this image."


def claim(
    database: Database, batch_id: str, *, process: WorkerProcess, lease: timedelta, now: datetime
) -> list[Claimed]:
    """Take over a batch: its `queued` images become `running`, each with one more attempt and a lease.

    Returns the claimed images. None are claimed if the message was delivered before, or if the batch has lost its
    images. A batch without images is closed.
    """

    def transaction(connection: Connection) -> list[Claimed]:
        taken = connection.execute(_CLAIM, {"batch": batch_id, "until": now + lease, "now": now})
        if taken.rowcount == 0:
            connection.execute(_CLOSE_EMPTY, {"batch": batch_id, "now": now})
            return []
        owner = {"node": process.node, "boot": process.boot_id, "index": process.index}
        connection.execute(_SET_OWNER, {"batch": batch_id, "now": now, **owner})
        rows = connection.execute(_CLAIMED, {"batch": batch_id}).all()
        return [Claimed(*row) for row in rows]

    # This commit waits for the disk: if a crash undid the claim, the worker would record images that are `queued`.
    return database.write_bulk(transaction)


def renew(database: Database, batch_id: str, *, lease: timedelta, now: datetime) -> int:
    """Prolong the lease of a batch after progress. Returns the number of images in it; 0 if they were taken back."""
    return database.write(
        lambda connection: connection.execute(_RENEW, {"batch": batch_id, "until": now + lease}).rowcount
    )


def owner_of(database: Database, batch_id: str) -> WorkerProcess | None:
    """Return the process that claimed this batch; None if the batch is unclaimed or finished."""
    with database.read() as connection:
        row = connection.execute(_OWNER, {"batch": batch_id}).first()
    return WorkerProcess(node=row.node, boot_id=row.boot_id, index=row.process_index) if row else None


def requeue_predecessor(
    database: Database, process: WorkerProcess, *, work_in_flight: int | None = None, now: datetime
) -> int:
    """Requeue the rows of work of this process's dead predecessor: they are `received` again. Returns their number.

    `work_in_flight` is the id of the row that the dead process was working on. This row is marked `alone`, and its
    counter `deaths` is increased; the other rows are not marked. If `work_in_flight` is None, all rows are marked
    `alone`, and `deaths` is increased only for rows that were already `alone`. A row that was already `alone` and whose
    `deaths` reach 3 becomes `failed(killed_worker)` instead of `received`.
    """
    return _requeue(database, process, _LEFT_OPEN, {}, work_in_flight, now)


def requeue_batch(
    database: Database, batch_id: str, *, owner: WorkerProcess, work_in_flight: int | None = None, now: datetime
) -> int:
    """Requeue one batch of a dead `owner`, as `requeue_predecessor` does. Returns the number of images.

    If the successor of the owner was faster, the batch is already closed and the number is 0.
    """
    return _requeue(database, owner, _LEFT_OPEN_ONE, {"batch": batch_id}, work_in_flight, now)


def _requeue(
    database: Database,
    owner: WorkerProcess,
    left_open: Select[str],
    which: dict[str, str],
    work_in_flight: int | None,
    now: datetime,
) -> int:
    def transaction(connection: Connection) -> int:
        dead = {"node": owner.node, "boot": owner.boot_id, "index": owner.index}
        left = connection.execute(left_open, {**dead, **which}).scalars().all()
        if not left:
            return 0
        held = {"batches": left, "now": now, "in_flight": work_in_flight}
        statements = (_REQUEUE_ALL_ALONE,) if work_in_flight is None else (_REQUEUE_IN_FLIGHT, _REQUEUE_OTHERS)
        images = sum(connection.execute(statement, held).rowcount for statement in statements)
        connection.execute(_CLOSE_ALL, held)
        return images

    return database.write(transaction)


def expire_leases_of_previous_starts(database: Database, *, node: str, boot_id: str, now: datetime) -> int:
    """End the leases of earlier starts of this worker, so that the next sweep takes back their images.

    Returns the number of images.
    """
    owner = {"node": node, "boot": boot_id, "now": now}
    return database.write(lambda connection: connection.execute(_END_LEASES, owner).rowcount)


_OF_BATCH = (work.c.batch_id == bindparam("batch")) & IN_BATCH

_CLAIM = (
    update(work)
    .where(_OF_BATCH, in_state(State.QUEUED))
    .values(
        state=State.RUNNING,
        attempts=work.c.attempts + 1,
        lease_until=bindparam("until"),
        tried_since=func.coalesce(work.c.tried_since, bindparam("now", type_=work.c.tried_since.type)),
        reason=None,
        detail=None,
    )
)

_CLOSE_EMPTY = (
    update(batches)
    .where(batches.c.id == bindparam("batch"), batches.c.claimed_at.is_(None), batches.c.finished_at.is_(None))
    .values(finished_at=bindparam("now"))
)

_SET_OWNER = (
    update(batches)
    .where(batches.c.id == bindparam("batch"))
    .values(
        claimed_at=bindparam("now"),
        node=bindparam("node"),
        boot_id=bindparam("boot"),
        process_index=bindparam("index"),
    )
)

SELECT_CLAIMED: Select[Any] = (
    select(
        work.c.id,
        work.c.instance_id,
        sources.c.name,
        sources.c.root,
        instances.c.uri,
        instances.c.size,
        instances.c.mtime_ns,
        work.c.attempts,
        work.c.alone,
        instances.c.arrived_at,
        work.c.tried_since,
        sources.c.marked,
        case((instances.c.parent_id.is_(None), sources.c.name), else_=origin_name()),
        case((work.c.ordinal > 0, work.c.bundle_id)),
    )
    .join(instances, instances.c.id == work.c.instance_id)
    .join(sources, sources.c.id == instances.c.source_id)
)
"""Selects the fields of Claimed for all rows of work."""
_CLAIMED = SELECT_CLAIMED.where(_OF_BATCH, in_state(State.RUNNING)).order_by(work.c.id)

_RENEW = update(work).where(_OF_BATCH, in_state(State.RUNNING)).values(lease_until=bindparam("until"))

_LEFT_OPEN = select(batches.c.id).where(
    batches.c.finished_at.is_(None),
    batches.c.node == bindparam("node"),
    batches.c.boot_id == bindparam("boot"),
    batches.c.process_index == bindparam("index"),
)

_OWNER = select(batches.c.node, batches.c.boot_id, batches.c.process_index).where(
    batches.c.id == bindparam("batch"), batches.c.claimed_at.is_not(None), batches.c.finished_at.is_(None)
)
_LEFT_OPEN_ONE = _LEFT_OPEN.where(batches.c.id == bindparam("batch"))

_LEFT_RUNNING = (
    work.c.batch_id.in_(bindparam("batches", expanding=True)),
    IN_BATCH,
    in_state(State.RUNNING),
)
_DIED_ALONE = work.c.alone & (work.c.deaths + 1 >= DEATHS_ALLOWED)
_TO_TRAVEL_ALONE: dict[str, Any] = {
    "state": case((_DIED_ALONE, literal(State.FAILED.value)), else_=literal(State.RECEIVED.value)),
    "reason": case((_DIED_ALONE, literal(Reason.KILLED_WORKER.value)), else_=None),
    "detail": case((_DIED_ALONE, literal(_KILLED)), else_=None),
    "finished_at": case((_DIED_ALONE, bindparam("now", type_=work.c.finished_at.type)), else_=None),
    "batch_id": case((_DIED_ALONE, work.c.batch_id), else_=None),
    "alone": True,
    "lease_until": None,
}

_REQUEUE_ALL_ALONE = (
    update(work)
    .where(*_LEFT_RUNNING)
    .values(**_TO_TRAVEL_ALONE, deaths=case((work.c.alone, work.c.deaths + 1), else_=work.c.deaths))
)
_REQUEUE_IN_FLIGHT = (
    update(work)
    .where(*_LEFT_RUNNING, work.c.id == bindparam("in_flight"))
    .values(**_TO_TRAVEL_ALONE, deaths=work.c.deaths + 1)
)
_REQUEUE_OTHERS = (
    update(work)
    .where(*_LEFT_RUNNING, work.c.id != bindparam("in_flight"))
    .values(state=State.RECEIVED, batch_id=None, lease_until=None)
)

_CLOSE_ALL = (
    update(batches).where(batches.c.id.in_(bindparam("batches", expanding=True))).values(finished_at=bindparam("now"))
)

_END_LEASES = (
    update(work)
    .where(
        IN_BATCH,
        in_state(State.RUNNING),
        work.c.batch_id.in_(
            select(batches.c.id).where(
                batches.c.finished_at.is_(None),
                batches.c.node == bindparam("node"),
                batches.c.boot_id != bindparam("boot"),
            )
        ),
    )
    .values(lease_until=bindparam("now"))
)
