"""What reports went where, and what became of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, select

from db.engine import Database
from db.queries.snapshot import stream
from db.store_tables import deliveries as table


class DeliveryState(StrEnum):
    """Where one report for one destination stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


SENDING, NO_ANSWER = "sending", "no_answer"
POSSIBLY_TAKEN = (SENDING, NO_ANSWER)
"""Reasons of a report that its destination may have although it never said so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One revision of the report of a study for one destination."""

    id: int
    study_instance_uid: str
    destination: str
    sop_instance_uid: str
    replaces: str | None
    """SOP Instance UID of the revision before."""
    content: str
    """Digest of what it says."""
    state: str
    reason: str | None
    detail: str | None
    attempts: int
    not_before: datetime | None
    created_at: datetime
    finished_at: datetime | None


def deliveries(
    database: Database,
    *,
    destination: str | None = None,
    study_instance_uid: str | None = None,
    states: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Delivery]:
    """Those that answer to all of this, oldest first, streamed; times are of when a report was first made."""
    statement = select(table).order_by(table.c.id)
    if destination is not None:
        statement = statement.where(table.c.destination == destination)
    if study_instance_uid is not None:
        statement = statement.where(table.c.study_instance_uid == study_instance_uid)
    if states:
        statement = statement.where(table.c.state.in_(states))
    with database.read() as connection:
        for row in stream(connection, _within(statement, since, until)):
            yield as_delivery(row)


def waiting_studies(database: Database, destination: str) -> list[str]:
    """Studies with a report that this destination is still to get."""
    statement = (
        select(table.c.study_instance_uid)
        .where(table.c.state == DeliveryState.WAITING, table.c.destination == destination)
        .order_by(table.c.id)
    )
    with database.read() as connection:
        return list(dict.fromkeys(connection.execute(statement).scalars()))


def as_delivery(row: Row[Any]) -> Delivery:
    """The row as a value."""
    return Delivery(**row._mapping)  # noqa: SLF001 - its public name, with an underscore to keep columns apart


def _within(statement: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        statement = statement.where(table.c.created_at >= since)
    if until is not None:
        statement = statement.where(table.c.created_at < until)
    return statement
