"""Check that the clocks of this host and of the database agree, as leases and heartbeats require."""

from sqlalchemy import func, select

from db.engine import Database
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork

TOLERATED_SECONDS = 10.0


def require_clock_agreement(database: Database, clock: Clock = utc_now) -> None:
    """Raise StopWork if the two clocks differ by more than TOLERATED_SECONDS; SQLite has no clock of its own."""
    if database.is_sqlite:
        return
    with database.read() as connection:
        database_time = connection.execute(select(func.now())).scalar_one()
    ahead = (clock() - database_time).total_seconds()
    if abs(ahead) > TOLERATED_SECONDS:
        raise StopWork(
            f"This host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's clock. "
            "Leases would expire while images are being analysed: synchronise both clocks with NTP."
        )
