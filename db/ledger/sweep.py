"""Take back lost work; only the dispatcher does this.

If the message of a batch was not lost after all, it is delivered later and claims no image.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, case, literal, select, true, update

from db.engine import Database
from db.ledger.series import return_forming_series
from db.tables import IN_BATCH, State, batches, in_state, work
from nightread.reasons import Reason

EXPIRIES_ALLOWED = 10
OVERTAKEN_SECONDS = 60
_EXPIRED = (
    f"The lease of this image expired {EXPIRIES_ALLOWED} times: "
    "each time its worker stopped before it recorded an outcome."
)


def return_expired(database: Database, *, now: datetime) -> int:
    """Set images with an expired lease to `received`, mark them `alone`, and close batches without any image.

    After its tenth expired lease an image becomes `failed(killed_worker)`. Returns the number of images.
    """

    def transaction(connection: Connection) -> int:
        expired = connection.execute(_EXPIRE, {"now": now}).rowcount
        connection.execute(_CLOSE_EMPTY, {"now": now})
        return expired

    with database.read() as connection:
        if not any(connection.execute(query, {"now": now}).scalar() for query in (_ANY_EXPIRED, _ANY_EMPTY)):
            return 0
    return database.write(transaction)


def return_overtaken(database: Database, *, now: datetime) -> int:
    """Take back the images of unclaimed batches if a later batch was claimed more than 60 s ago.

    The messages of these batches count as lost. Returns the number of images.
    """
    with database.read() as connection:
        before = {"before": now - timedelta(seconds=OVERTAKEN_SECONDS)}
        lost = connection.execute(_OVERTAKEN, before).scalars().all()
    return return_batches(database, lost, now=now)


def open_batches(database: Database, *, created_before: datetime | None = None) -> list[str]:
    """List unclaimed batches; if `created_before` is set, only batches that were created earlier."""
    older = batches.c.created_at < created_before if created_before else true()
    with database.read() as connection:
        return list(connection.execute(_UNCLAIMED.where(older)).scalars())


def return_batches(database: Database, batch_ids: Sequence[str], *, now: datetime) -> int:
    """Set the images of these unclaimed batches to `received`. Returns their number."""
    if not batch_ids:
        return 0

    def transaction(connection: Connection) -> int:
        images = connection.execute(_RETURN_QUEUED, {"batches": batch_ids}).rowcount
        connection.execute(_CLOSE_UNCLAIMED, {"batches": batch_ids, "now": now})
        return images

    return database.write(transaction)


def reset_unfinished(database: Database, *, now: datetime) -> int:
    """Set all queued and running images to `received`, and close all batches. Returns the number of images.

    Call this only while no process works: at an embedded start, with the state lock held and Redis empty, and after a
    restore.
    """

    def transaction(connection: Connection) -> int:
        connection.execute(update(batches).where(batches.c.finished_at.is_(None)).values(finished_at=now))
        return_forming_series(connection)
        reset = update(work).where(IN_BATCH).values(state=State.RECEIVED, batch_id=None, lease_until=None)
        return connection.execute(reset).rowcount

    return database.write(transaction)


# This uses the small index of rows in batches; an index on leases would have to be updated for every image.
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

# Unclaimed batches too: an image whose file changes leaves its batch, and the message of the empty batch may be lost.
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
