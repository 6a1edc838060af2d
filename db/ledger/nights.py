"""Store when the nights of the site begin and end, for the views."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from db.engine import Database
from db.store_tables import nights as nights_table
from db.tables import instances


class Night(NamedTuple):
    """One night, named by the local date of its evening."""

    evening: date
    began_at: datetime
    ended_at: datetime


def first_arrival(database: Database) -> datetime | None:
    """Return the earliest time at which an image arrived; None if no image has arrived."""
    with database.read() as connection:
        return connection.execute(select(func.min(instances.c.arrived_at))).scalar()


def set_nights(database: Database, nights: Sequence[Night]) -> bool:
    """Replace all stored nights by `nights`. Returns False if exactly these nights are stored already."""
    rows = [(night.evening.isoformat(), night.began_at, night.ended_at) for night in nights]

    def transaction(connection: Connection) -> bool:
        if [tuple(row) for row in connection.execute(_ALL)] == rows:
            return False
        connection.execute(delete(nights_table))
        names = ("evening", "began_at", "ended_at")
        connection.execute(insert(nights_table), [dict(zip(names, row, strict=True)) for row in rows])
        return True

    return database.write(transaction)


_ALL = select(nights_table.c.evening, nights_table.c.began_at, nights_table.c.ended_at).order_by(nights_table.c.evening)
