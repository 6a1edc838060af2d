"""Begin and end pauses of dispatch, and store their probes."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, bindparam, insert, update

from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.store_tables import pauses
from db.tables import audit

AUTOMATIC = "nightread"
"""The actor of pauses that nightread begins or ends by itself."""


class Cause(StrEnum):
    """The cause of a pause. Each cause has at most one active pause for all sources, and one for each source."""

    BREAKER = "breaker"
    DISK = "disk"
    HOURS = "hours"
    """The source is outside of its `hours`; the dispatcher begins and ends this pause."""
    PERSON = "person"


ENDED_BY_PEOPLE = tuple(cause for cause in Cause if cause is not Cause.HOURS)
"""The causes of the pauses that a person can end."""


def pause(
    database: Database,
    cause: Cause,
    *,
    detail: str,
    now: datetime,
    actor: str = AUTOMATIC,
    source_id: int | None = None,
) -> bool:
    """Pause dispatch of all images, or of the images of one source. Pauses by people are written to `audit`.

    Returns False if a pause with this cause and source is active already.
    """

    def transaction(connection: Connection) -> bool:
        row = {"cause": cause.value, "source_id": source_id, "detail": detail, "actor": actor, "began_at": now}
        if not insert_if_absent(connection, pauses, tuple(row), [tuple(row.values())]):
            return False
        written: dict[str, object] = {"cause": cause.value, "detail": detail}
        if source_id is not None:
            written["source_id"] = source_id
        _write_audit(connection, "dispatch.pause", actor, written, now)
        return True

    return database.write(transaction)


def end_pauses(
    database: Database,
    causes: Collection[Cause] = ENDED_BY_PEOPLE,
    *,
    now: datetime,
    actor: str = AUTOMATIC,
    source_ids: Collection[int] | None = None,
) -> list[Cause]:
    """End the active pauses with these causes; if `source_ids` is set, only the pauses of these sources.

    Returns the causes of the ended pauses.
    """
    of_sources = () if source_ids is None else (pauses.c.source_id.in_(source_ids),)

    def transaction(connection: Connection) -> list[Cause]:
        named = {"causes": [cause.value for cause in causes]}
        rows = connection.execute(_END.where(*of_sources), {**named, "now": now, "by": actor}).all()
        ended = sorted({Cause(row.cause) for row in rows})
        if ended:
            written: dict[str, object] = {"causes": ended}
            if of := sorted({row.source_id for row in rows if row.source_id is not None}):
                written["source_ids"] = of
            _write_audit(connection, "dispatch.resume", actor, written, now)
        return ended

    return database.write(transaction)


def end_pause(database: Database, pause_id: int, *, now: datetime) -> None:
    """End one pause that nightread began."""
    statement = update(pauses).where(_of(pause_id)).values(ended_at=now, ended_by=AUTOMATIC)
    database.write(lambda connection: connection.execute(statement))


def set_probe(database: Database, pause_id: int, batch_id: str, *, now: datetime) -> None:
    """Store that this batch is the probe of a pause by the circuit breaker."""
    statement = update(pauses).where(_of(pause_id)).values(probe_batch=batch_id, probed_at=now)
    database.write(lambda connection: connection.execute(statement))


def clear_probe(database: Database, pause_id: int) -> None:
    """Clear a probe that has not enough good outcomes: the pause continues, and another probe follows."""
    statement = update(pauses).where(_of(pause_id)).values(probe_batch=None)
    database.write(lambda connection: connection.execute(statement))


def _of(pause_id: int) -> ColumnElement[bool]:
    return (pauses.c.id == pause_id) & pauses.c.ended_at.is_(None)


def _write_audit(connection: Connection, action: str, actor: str, detail: dict[str, object], now: datetime) -> None:
    if actor != AUTOMATIC:
        connection.execute(insert(audit).values(at=now, actor=actor, action=action, detail=detail))


_OF_CAUSES: tuple[ColumnElement[bool], ...] = (
    pauses.c.cause.in_(bindparam("causes", expanding=True)),
    pauses.c.ended_at.is_(None),
)
_END = (
    update(pauses)
    .where(*_OF_CAUSES)
    .values(ended_at=bindparam("now"), ended_by=bindparam("by"))
    .returning(pauses.c.cause, pauses.c.source_id)
)
