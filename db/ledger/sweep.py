"""Take back what was lost: by the dispatcher alone. A false alarm costs one empty claim."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, case, literal, select, true, update

from db.engine import Database
from db.tables import IN_BATCH, State, batches, in_state, work
from nightread.reasons import Reason

EXPIRIES_ALLOWED = 10
OVERTAKEN_SECONDS = 60
_EXPIRED = f"The worker went away without a word {EXPIRIES_ALLOWED} times while it had this image."


def return_expired(database: Database, *, now: datetime) -> int:
    """Images whose lease ran out are `received` again, to travel alone; the tenth time they failed.

    Batches that hold no image any more are closed.
    """

    def transaction(connection: Connection) -> int:
        expired = connection.execute(_EXPIRE, {"now": now}).rowcount
        connection.execute(_CLOSE_EMPTY, {"now": now})
        return expired

    with database.read() as connection:
        if not any(connection.execute(look, {"now": now}).scalar() for look in (_ANY_EXPIRED, _ANY_EMPTY)):
            return 0
    return database.write(transaction)


def return_overtaken(database: Database, *, now: datetime) -> int:
    """Published batches that a later one overtook more than a minute ago: their messages are lost."""
    with database.read() as connection:
        before = {"before": now - timedelta(seconds=OVERTAKEN_SECONDS)}
        lost = connection.execute(_OVERTAKEN, before).scalars().all()
    return return_batches(database, lost, now=now)


def open_batches(database: Database, *, created_before: datetime | None = None) -> list[str]:
    """Batches that were published and not claimed, or those of them that are older than this."""
    older = batches.c.created_at < created_before if created_before else true()
    with database.read() as connection:
        return list(connection.execute(_UNCLAIMED.where(older)).scalars())


def return_batches(database: Database, batch_ids: Sequence[str], *, now: datetime) -> int:
    """The images of these unclaimed batches are `received` again. Returns their number."""
    if not batch_ids:
        return 0

    def transaction(connection: Connection) -> int:
        images = connection.execute(_RETURN_QUEUED, {"batches": batch_ids}).rowcount
        connection.execute(_CLOSE_UNCLAIMED, {"batches": batch_ids, "now": now})
        return images

    return database.write(transaction)


def reset_unfinished(database: Database, *, now: datetime) -> int:
    """At an embedded start, with the state lock held and Redis emptied: nobody works on anything."""

    def transaction(connection: Connection) -> int:
        connection.execute(update(batches).where(batches.c.finished_at.is_(None)).values(finished_at=now))
        reset = update(work).where(IN_BATCH).values(state=State.RECEIVED, batch_id=None, lease_until=None)
        return connection.execute(reset).rowcount

    return database.write(transaction)


# By the index of what is in batches, which is little: one of leases would be kept for every image.
_IS_EXPIRED = IN_BATCH & in_state(State.RUNNING) & (work.c.lease_until < bindparam("now"))
_ANY_EXPIRED = select(work.c.id).where(_IS_EXPIRED).limit(1)
_GIVEN_UP = work.c.expiries + 1 >= EXPIRIES_ALLOWED

_EXPIRE = (
    update(work)
    .where(_IS_EXPIRED)
    .values(
        state=case((_GIVEN_UP, literal(State.FAILED.value)), else_=literal(State.RECEIVED.value)),
        reason=case((_GIVEN_UP, literal(Reason.KILLED_WORKER.value)), else_=None),
        detail=case((_GIVEN_UP, literal(_EXPIRED)), else_=None),
        finished_at=case((_GIVEN_UP, bindparam("now", type_=work.c.finished_at.type)), else_=None),
        expiries=work.c.expiries + 1,
        batch_id=case((_GIVEN_UP, work.c.batch_id), else_=None),
        alone=True,
        lease_until=None,
    )
)

# Claimed or not: what changes while it is queued leaves its batch, and the message may be lost with nobody to miss it.
_IS_EMPTY = (
    batches.c.finished_at.is_(None) & ~select(work.c.id).where(work.c.batch_id == batches.c.id, IN_BATCH).exists()
)
_ANY_EMPTY = select(batches.c.id).where(_IS_EMPTY).limit(1)
_CLOSE_EMPTY = update(batches).where(_IS_EMPTY).values(finished_at=bindparam("now"))

_LATER = batches.alias("later")
_OVERTAKEN = select(batches.c.id).where(
    batches.c.finished_at.is_(None),
    batches.c.claimed_at.is_(None),
    select(_LATER.c.id)
    .where(_LATER.c.created_at > batches.c.created_at, _LATER.c.claimed_at < bindparam("before"))
    .exists(),
)

_UNCLAIMED = select(batches.c.id).where(batches.c.finished_at.is_(None), batches.c.claimed_at.is_(None))

_RETURN_QUEUED = (
    update(work)
    .where(work.c.batch_id.in_(bindparam("batches", expanding=True)), IN_BATCH, in_state(State.QUEUED))
    .values(state=State.RECEIVED, batch_id=None)
)

_CLOSE_UNCLAIMED = (
    update(batches)
    .where(batches.c.id.in_(bindparam("batches", expanding=True)), batches.c.claimed_at.is_(None))
    .values(finished_at=bindparam("now"))
)
