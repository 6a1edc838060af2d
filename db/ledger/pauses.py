"""Pauses of the dispatcher: why it forms no batches, who said so, and what was tried since."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select, update

from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.tables import audit, pauses

ITSELF = "nightread"
"""The actor where no person gave a command."""


class Cause(StrEnum):
    """Why dispatch is paused; of each cause at most one pause is in force."""

    BREAKER = "breaker"
    DISK = "disk"
    PERSON = "person"


def pause(database: Database, cause: Cause, *, detail: str, now: datetime, actor: str = ITSELF) -> bool:
    """Pause dispatch; False where a pause of this cause is in force already. What a person says is audited."""

    def transaction(connection: Connection) -> bool:
        if connection.execute(_IN_FORCE, {"causes": [cause.value]}).first():
            return False
        row = {"cause": cause.value, "detail": detail, "actor": actor, "began_at": now}
        insert_if_absent(connection, pauses, tuple(row), [tuple(row.values())])
        _keep(connection, "dispatch.pause", actor, {"cause": cause.value, "detail": detail}, now)
        return True

    return database.write(transaction)


def end_pauses(
    database: Database, causes: Collection[Cause] = tuple(Cause), *, now: datetime, actor: str = ITSELF
) -> list[Cause]:
    """End the pauses in force that have one of these causes; returns the causes of those that were."""

    def transaction(connection: Connection) -> list[Cause]:
        named = {"causes": [cause.value for cause in causes]}
        ended = [Cause(cause) for cause in connection.execute(_END, {**named, "now": now, "by": actor}).scalars()]
        if ended:
            _keep(connection, "dispatch.resume", actor, {"causes": sorted(ended)}, now)
        return sorted(ended)

    return database.write(transaction)


def note_probe(database: Database, batch_id: str, *, now: datetime) -> None:
    """This batch goes in spite of the breaker's pause."""
    statement = update(pauses).where(_BREAKER_IN_FORCE).values(probe_batch=batch_id, probed_at=now)
    database.write(lambda connection: connection.execute(statement))


def forget_probe(database: Database) -> None:
    """The probe told nothing good: the pause goes on, and the next probe comes in its time."""
    statement = update(pauses).where(_BREAKER_IN_FORCE).values(probe_batch=None)
    database.write(lambda connection: connection.execute(statement))


def _keep(connection: Connection, action: str, actor: str, detail: dict[str, object], now: datetime) -> None:
    if actor != ITSELF:
        connection.execute(insert(audit).values(at=now, actor=actor, action=action, detail=detail))


_OF_CAUSES: tuple[ColumnElement[bool], ...] = (
    pauses.c.cause.in_(bindparam("causes", expanding=True)),
    pauses.c.ended_at.is_(None),
)
_IN_FORCE = select(pauses.c.id).where(*_OF_CAUSES)
_END = (
    update(pauses)
    .where(*_OF_CAUSES)
    .values(ended_at=bindparam("now"), ended_by=bindparam("by"))
    .returning(pauses.c.cause)
)
_BREAKER_IN_FORCE = (pauses.c.cause == Cause.BREAKER.value) & pauses.c.ended_at.is_(None)
