"""Store deliveries of reports: commit them before sending, with one UID for all attempts."""

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
    """Return the delivery to send now and its revision number, from 1; None if nothing is to be sent.

    A delivered report is not sent again with the same content. A failed report with the same content is sent again,
    as a revision, only if `again` is set. A waiting delivery with other content gets the new content. If its
    destination may already have the old content, the delivery fails as `overtaken` instead, and a revision follows. A
    delivery that is being sent stays as it is. If several senders call this at the same time, all get the same row.
    """

    def transaction(connection: Connection) -> tuple[Delivery, int] | None:
        _lock(connection, study_instance_uid, destination)
        known = _revisions(connection, study_instance_uid, destination)
        latest = known[-1] if known else None
        if latest and latest.state == DeliveryState.WAITING:
            if latest.content == content or _is_being_sent(latest, now):
                return latest, len(known)
            if latest.reason not in POSSIBLY_TAKEN:
                connection.execute(_REPLACE_CONTENT, {"which": latest.id, "new_content": content})
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


def claim_delivery(database: Database, delivery: Delivery, *, until: datetime, at_once: bool, now: datetime) -> bool:
    """Claim a delivery until `until`. Returns False if another process has claimed or changed it, or it is not due.

    With `at_once` the pause after a failed attempt is ignored.
    """
    values = {
        "which": delivery.id,
        "same": delivery.content,
        "tries": delivery.attempts,
        "present": now,
        "lease": until,
    }
    statement = _CLAIM.where(or_(_DUE, deliveries.c.reason != SENDING) if at_once else _DUE)
    return database.write(lambda connection: connection.execute(statement, values).rowcount) == 1


def postpone_delivery(
    database: Database, delivery: Delivery, *, reason: str, detail: str, not_before: datetime
) -> None:
    """Postpone a delivery to `not_before`, after an attempt failed.

    `delivery` is the value that `claim_delivery` got. If another process has claimed it since, nothing changes.
    """
    values = {"reason": reason, "detail": detail[:_DETAIL_LENGTH], "not_before": not_before}
    claimed = update(deliveries).where(
        deliveries.c.id == delivery.id,
        deliveries.c.state == DeliveryState.WAITING,
        deliveries.c.attempts == delivery.attempts + 1,
    )
    database.write(lambda connection: connection.execute(claimed.values(**values)))


def hold_deliveries(database: Database, destination: str, *, reason: str, detail: str, now: datetime) -> None:
    """Store why nothing can be sent to a destination now, and restart the time limit of its waiting reports.

    The limit (`retry_patience_seconds`) counts from `created_at`, which becomes `now`. Reports that the destination may
    already have stay unchanged, because `created_at` is part of their content.
    """
    values = {"reason": reason, "detail": detail[:_DETAIL_LENGTH], "created_at": now}
    waiting = update(deliveries).where(
        deliveries.c.destination == destination,
        deliveries.c.state == DeliveryState.WAITING,
        or_(deliveries.c.reason.is_(None), deliveries.c.reason.not_in(POSSIBLY_TAKEN)),
    )
    database.write(lambda connection: connection.execute(waiting.values(**values)))


def end_delivery(
    database: Database, delivery_id: int, state: DeliveryState, *, reason: str | None, detail: str | None, now: datetime
) -> None:
    """End a delivery as delivered or failed. A failed delivery can still become delivered; a delivered one stays so."""
    values = {"state": state, "reason": reason, "detail": detail and detail[:_DETAIL_LENGTH], "finished_at": now}
    statement = update(deliveries).where(deliveries.c.id == delivery_id).values(**values, not_before=None)
    if state is not DeliveryState.DELIVERED:
        statement = statement.where(deliveries.c.state == DeliveryState.WAITING)
    database.write(lambda connection: connection.execute(statement))


def _lock(connection: Connection, study_instance_uid: str, destination: str) -> None:
    """On PostgreSQL, let only one process at a time draft the report of this study for this destination.

    SQLite has only one writer.
    """
    if connection.dialect.name == "postgresql":
        name = func.hashtextextended(f"{study_instance_uid}|{destination}", _LOCK_SEED)
        connection.execute(select(func.pg_advisory_xact_lock(name)))


def _revisions(connection: Connection, study_instance_uid: str, destination: str) -> list[Delivery]:
    named = {"study": study_instance_uid, "its_destination": destination}
    return [as_delivery(row) for row in connection.execute(_REVISIONS, named)]


def _is_being_sent(delivery: Delivery, now: datetime) -> bool:
    return delivery.reason == SENDING and delivery.not_before is not None and delivery.not_before > now


def _predecessor(known: list[Delivery]) -> str | None:
    """Return the SOP Instance UID of the latest revision of the report that the destination has, or may have."""
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

_REPLACE_CONTENT = (
    update(deliveries).where(deliveries.c.id == bindparam("which")).values(content=bindparam("new_content"))
)

_OVERTAKE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("which"))
    .values(
        state=DeliveryState.FAILED,
        reason=OVERTAKEN,
        detail="The results changed before the destination confirmed the report: a revision replaces it.",
        finished_at=bindparam("at"),
        not_before=None,
    )
)

_DUE = or_(deliveries.c.not_before.is_(None), deliveries.c.not_before <= bindparam("present"))

_CLAIM = (
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
