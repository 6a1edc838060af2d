"""Write the nights of this site into the database, so that views can name them without knowing the time zone."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from db import ledger
from db.engine import Database
from db.ledger import Night
from nightread.clock import utc_now
from nightread.nights import Nights, nights_of
from nightread.settings import Settings

_AHEAD = timedelta(days=3 * 366)
"""How far into the future the calendar reaches. Each start of the dispatcher writes the calendar again, and no
dispatcher runs longer than this without a restart.
"""


def keep_night_calendar(database: Database, settings: Settings) -> None:
    """Store all nights from the first arrival to three years ahead, by the present settings."""
    now = utc_now()
    first = ledger.first_arrival(database) or now
    ledger.set_nights(database, list(night_calendar(nights_of(settings), first, now + _AHEAD)))


def night_calendar(nights: Nights, first: datetime, last: datetime) -> Iterator[Night]:
    """Yield the nights from the night before `first` to the night that begins on the local date of `last`."""
    evening: date = nights.local(first).date() - timedelta(days=1)
    until = nights.local(last).date()
    while evening <= until:
        began_at, ended_at = nights.bounds(evening)
        yield Night(evening, began_at, ended_at)
        evening += timedelta(days=1)
