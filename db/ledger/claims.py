"""Claim a batch, keep its lease by progress, give back what a dead process left."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, case, literal, select, update

from db.engine import Database
from db.tables import IN_BATCH, State, batches, in_state, instances, sources, work
from nightread.reasons import Reason

DEATHS_ALLOWED = 3
_KILLED = f"The worker process died {DEATHS_ALLOWED} times while it worked on this image alone."


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerProcess:
    """One process of one start of one worker; a respawned process has the same three values as the one before."""

    node: str
    boot_id: str
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """One image to analyse, as the ledger knows it."""

    work_id: int
    instance_id: int
    source: str
    root: str
    uri: str
    size: int
    mtime_ns: int
    attempts: int
    """This one included."""
    alone: bool
    first: bool
    """Whether this is the arrival's first row of work, which may turn out a duplicate."""


def claim(
    database: Database, batch_id: str, *, process: WorkerProcess, lease: timedelta, now: datetime
) -> list[Claimed]:
    """Take over a batch: `queued` becomes `running`. A second delivery of the same batch gets an empty list."""

    def transaction(connection: Connection) -> list[Claimed]:
        taken = connection.execute(_CLAIM, {"batch": batch_id, "until": now + lease})
        if taken.rowcount == 0:
            connection.execute(_CLOSE_EMPTY, {"batch": batch_id, "now": now})
            return []
        owner = {"node": process.node, "boot": process.boot_id, "index": process.index}
        connection.execute(_OWN, {"batch": batch_id, "now": now, **owner})
        rows = connection.execute(_CLAIMED, {"batch": batch_id})
        return [
            Claimed(
                work_id=row.id,
                instance_id=row.instance_id,
                source=row.name,
                root=row.root,
                uri=row.uri,
                size=row.size,
                mtime_ns=row.mtime_ns,
                attempts=row.attempts,
                alone=row.alone,
                first=row.ordinal == 0,
            )
            for row in rows
        ]

    return database.write(transaction)


def renew(database: Database, batch_id: str, *, lease: timedelta, now: datetime) -> int:
    """Prolong the lease after progress. Returns how many images are still ours: 0 means that the batch was taken."""
    return database.write(
        lambda connection: connection.execute(_RENEW, {"batch": batch_id, "until": now + lease}).rowcount
    )


def give_back_predecessor(database: Database, process: WorkerProcess, *, now: datetime) -> int:
    """What the process before this one died on goes back, each image to travel alone.

    An image that was alone already and has now killed its process for the third time is `failed(killed_worker)`.
    Returns the number of images.
    """

    def transaction(connection: Connection) -> int:
        owner = {"node": process.node, "boot": process.boot_id, "index": process.index}
        left = connection.execute(_LEFT_OPEN, owner).scalars().all()
        if not left:
            return 0
        images = connection.execute(_GIVE_BACK, {"batches": left, "now": now}).rowcount
        connection.execute(_CLOSE_ALL, {"batches": left, "now": now})
        return images

    return database.write(transaction)


def end_leases_of_earlier_starts(database: Database, *, node: str, boot_id: str, now: datetime) -> int:
    """A worker that starts knows that its earlier starts are dead: the next sweep need not wait for their leases."""
    owner = {"node": node, "boot": boot_id, "now": now}
    return database.write(lambda connection: connection.execute(_END_LEASES, owner).rowcount)


_MINE = (work.c.batch_id == bindparam("batch")) & IN_BATCH

_CLAIM = (
    update(work)
    .where(_MINE, in_state(State.QUEUED))
    .values(
        state=State.RUNNING,
        attempts=work.c.attempts + 1,
        lease_until=bindparam("until"),
        reason=None,
        detail=None,
    )
)

_CLOSE_EMPTY = (
    update(batches)
    .where(batches.c.id == bindparam("batch"), batches.c.claimed_at.is_(None), batches.c.finished_at.is_(None))
    .values(finished_at=bindparam("now"))
)

_OWN = (
    update(batches)
    .where(batches.c.id == bindparam("batch"))
    .values(
        claimed_at=bindparam("now"),
        node=bindparam("node"),
        boot_id=bindparam("boot"),
        process_index=bindparam("index"),
    )
)

_CLAIMED = (
    select(
        work.c.id,
        work.c.instance_id,
        work.c.ordinal,
        work.c.attempts,
        work.c.alone,
        instances.c.uri,
        instances.c.size,
        instances.c.mtime_ns,
        sources.c.name,
        sources.c.root,
    )
    .join(instances, instances.c.id == work.c.instance_id)
    .join(sources, sources.c.id == instances.c.source_id)
    .where(_MINE, in_state(State.RUNNING))
    .order_by(work.c.id)
)

_RENEW = update(work).where(_MINE, in_state(State.RUNNING)).values(lease_until=bindparam("until"))

_LEFT_OPEN = select(batches.c.id).where(
    batches.c.finished_at.is_(None),
    batches.c.claimed_at.is_not(None),
    batches.c.node == bindparam("node"),
    batches.c.boot_id == bindparam("boot"),
    batches.c.process_index == bindparam("index"),
)

_DIED_ALONE = work.c.alone & (work.c.deaths + 1 >= DEATHS_ALLOWED)

_GIVE_BACK = (
    update(work)
    .where(work.c.batch_id.in_(bindparam("batches", expanding=True)), IN_BATCH, in_state(State.RUNNING))
    .values(
        state=case((_DIED_ALONE, literal(State.FAILED.value)), else_=literal(State.RECEIVED.value)),
        reason=case((_DIED_ALONE, literal(Reason.KILLED_WORKER.value)), else_=None),
        detail=case((_DIED_ALONE, literal(_KILLED)), else_=None),
        finished_at=case((_DIED_ALONE, bindparam("now", type_=work.c.finished_at.type)), else_=None),
        deaths=case((work.c.alone, work.c.deaths + 1), else_=work.c.deaths),
        batch_id=case((_DIED_ALONE, work.c.batch_id), else_=None),
        alone=True,
        lease_until=None,
    )
)

_CLOSE_ALL = (
    update(batches).where(batches.c.id.in_(bindparam("batches", expanding=True))).values(finished_at=bindparam("now"))
)

_END_LEASES = (
    update(work)
    .where(
        in_state(State.RUNNING),
        work.c.batch_id.in_(
            select(batches.c.id).where(
                batches.c.finished_at.is_(None),
                batches.c.claimed_at.is_not(None),
                batches.c.node == bindparam("node"),
                batches.c.boot_id != bindparam("boot"),
            )
        ),
    )
    .values(lease_until=bindparam("now"))
)
