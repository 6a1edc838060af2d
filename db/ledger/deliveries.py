"""Reports on their way to a destination: committed before anything is sent, with one UID for all tries."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from db.engine import Database
from db.ledger.delivery_values import POSSIBLY_TAKEN, SENDING, Delivery, DeliveryState, as_delivery
from db.store_tables import deliveries

OVERTAKEN = "overtaken"
_DETAIL_LENGTH = 500


def draft_delivery(
    database: Database,
    *,
    study_instance_uid: str,
    destination: str,
    content: str,
    make_uid: Callable[[], str],
    again: bool,
    now: datetime,
) -> tuple[Delivery, int] | None:
    """The report that is to be sent now, with the number of its revision; None where there is none to send.

    What was delivered is not sent again with the same content; what failed with it only `again`, as a revision.
    One that waits with another content takes on this one, unless its destination may have it already: then it is
    overtaken. Of several senders at once one makes the row and the others find it.
    """

    def transaction(connection: Connection) -> tuple[Delivery, int] | None:
        _lock(connection, study_instance_uid, destination)
        known = _revisions(connection, study_instance_uid, destination)
        latest = known[-1] if known else None
        if latest and latest.state == DeliveryState.WAITING:
            if latest.content == content or _in_hand(latest, now):
                return latest, len(known)
            if latest.reason not in POSSIBLY_TAKEN:
                connection.execute(_TAKE_ON, {"which": latest.id, "new_content": content})
                return _revisions(connection, study_instance_uid, destination)[-1], len(known)
            connection.execute(_OVERTAKE, {"which": latest.id, "at": now})
        elif latest and latest.content == content and (latest.state == DeliveryState.DELIVERED or not again):
            return None
        connection.execute(
            insert(deliveries).values(
                study_instance_uid=study_instance_uid,
                destination=destination,
                sop_instance_uid=make_uid(),
                replaces=_predecessor(known),
                content=content,
                state=DeliveryState.WAITING,
                attempts=0,
                created_at=now,
            )
        )
        return _revisions(connection, study_instance_uid, destination)[-1], len(known) + 1

    return database.write(transaction)


def take_delivery(database: Database, delivery: Delivery, *, until: datetime, at_once: bool, now: datetime) -> bool:
    """Become its sender until then. False where another one has it or had it since, or it is not due.

    `at_once`: it is due, however short ago it was last tried.
    """
    values = {
        "which": delivery.id,
        "same": delivery.content,
        "tries": delivery.attempts,
        "present": now,
        "lease": until,
    }
    statement = _TAKE.where(or_(_DUE, deliveries.c.reason != SENDING) if at_once else _DUE)
    return database.write(lambda connection: connection.execute(statement, values).rowcount) == 1


def put_off_delivery(database: Database, delivery: Delivery, *, reason: str, detail: str, not_before: datetime) -> None:
    """It was not taken this time. `delivery` as it was before it was taken in hand: whoever was since has the say."""
    values = {"reason": reason, "detail": detail[:_DETAIL_LENGTH], "not_before": not_before}
    mine = update(deliveries).where(
        deliveries.c.id == delivery.id,
        deliveries.c.state == DeliveryState.WAITING,
        deliveries.c.attempts == delivery.attempts + 1,
    )
    database.write(lambda connection: connection.execute(mine.values(**values)))


def end_delivery(
    database: Database, delivery_id: int, state: DeliveryState, *, reason: str | None, detail: str | None, now: datetime
) -> None:
    """Delivered, or failed for good. A later success of a sender that was given up on still counts."""
    values = {"state": state, "reason": reason, "detail": detail and detail[:_DETAIL_LENGTH], "finished_at": now}
    statement = update(deliveries).where(deliveries.c.id == delivery_id).values(**values, not_before=None)
    if state is not DeliveryState.DELIVERED:
        statement = statement.where(deliveries.c.state == DeliveryState.WAITING)
    database.write(lambda connection: connection.execute(statement))


def _lock(connection: Connection, study_instance_uid: str, destination: str) -> None:
    """One draft of a study for a destination at a time, on any host; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        name = func.hashtextextended(f"{study_instance_uid}|{destination}", _LOCK_SEED)
        connection.execute(select(func.pg_advisory_xact_lock(name)))


def _revisions(connection: Connection, study_instance_uid: str, destination: str) -> list[Delivery]:
    named = {"study": study_instance_uid, "its_destination": destination}
    return [as_delivery(row) for row in connection.execute(_REVISIONS, named)]


def _in_hand(delivery: Delivery, now: datetime) -> bool:
    return delivery.reason == SENDING and delivery.not_before is not None and delivery.not_before > now


def _predecessor(known: list[Delivery]) -> str | None:
    """The latest that its destination has, or may have."""
    for delivery in reversed(known):
        if delivery.state == DeliveryState.DELIVERED or delivery.reason in (*POSSIBLY_TAKEN, OVERTAKEN):
            return delivery.sop_instance_uid
    return None


_LOCK_SEED = 0x73656E64  # "send"

_REVISIONS = (
    select(deliveries)
    .where(
        deliveries.c.study_instance_uid == bindparam("study"),
        deliveries.c.destination == bindparam("its_destination"),
    )
    .order_by(deliveries.c.id)
)

_TAKE_ON = update(deliveries).where(deliveries.c.id == bindparam("which")).values(content=bindparam("new_content"))

_OVERTAKE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("which"))
    .values(
        state=DeliveryState.FAILED,
        reason=OVERTAKEN,
        detail="Its results changed before its destination said that it has it: a revision took its place.",
        finished_at=bindparam("at"),
        not_before=None,
    )
)

_DUE = or_(deliveries.c.not_before.is_(None), deliveries.c.not_before <= bindparam("present"))

_TAKE = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("which"),
        deliveries.c.state == DeliveryState.WAITING,
        deliveries.c.content == bindparam("same"),
        deliveries.c.attempts == bindparam("tries"),
    )
    .values(
        attempts=deliveries.c.attempts + 1,
        reason=SENDING,
        detail="The report is being sent, or the sending process died.",
        not_before=bindparam("lease"),
    )
)
