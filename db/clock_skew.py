"""Check that the clocks of this host and of the database agree, because leases and heartbeats need this."""

from datetime import datetime

from sqlalchemy import func, select

from db.engine import Database
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork

TOLERATED_SECONDS = 10.0


def require_clock_agreement(database: Database, clock: Clock = utc_now) -> None:
    """Raise StopWork if the clocks of this host and of the database differ by more than TOLERATED_SECONDS."""
    ahead = seconds_ahead(database, clock)
    if abs(ahead) > TOLERATED_SECONDS:
        raise StopWork(
            f"This host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's clock. "
            "Leases would expire while images are being analysed: synchronise both clocks with NTP."
        )


def seconds_ahead(database: Database, clock: Clock = utc_now) -> float:
    """Return how far this host's clock is ahead of the database's clock; 0 on SQLite, which has no clock of its own."""
    if database.is_sqlite:
        return 0.0
    with database.read() as connection:
        database_time: datetime = connection.execute(select(func.now())).scalar_one()
    return (clock() - database_time).total_seconds()
