"""List deliveries of reports, with their states."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from db.engine import Database
from db.ledger.delivery_values import Delivery, DeliveryState, as_delivery
from db.queries.snapshot import stream
from db.store_tables import deliveries as table


def deliveries(
    database: Database,
    *,
    destination: str | None = None,
    study_instance_uid: str | None = None,
    states: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Delivery]:
    """Stream the deliveries that match all conditions, oldest first.

    `since` (included) and `until` (excluded) refer to the time at which a delivery was created.
    """
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
    """List the studies with a waiting delivery for this destination, oldest first."""
    statement = (
        select(table.c.study_instance_uid)
        .where(table.c.state == DeliveryState.WAITING, table.c.destination == destination)
        .order_by(table.c.id)
    )
    with database.read() as connection:
        return list(dict.fromkeys(connection.execute(statement).scalars()))


def _within(statement: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        statement = statement.where(table.c.created_at >= since)
    if until is not None:
        statement = statement.where(table.c.created_at < until)
    return statement
