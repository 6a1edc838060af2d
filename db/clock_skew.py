"""Leases and heartbeats compare the clocks of hosts: these must agree."""

from sqlalchemy import func, select

from db.engine import Database
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork

TOLERATED_SECONDS = 10.0


def require_clock_agreement(database: Database, clock: Clock = utc_now) -> None:
    """Raise StopWork where this host's clock differs from the database's; SQLite has no host of its own."""
    if database.is_sqlite:
        return
    with database.read() as connection:
        theirs = connection.execute(select(func.now())).scalar_one()
    ahead = (clock() - theirs).total_seconds()
    if abs(ahead) > TOLERATED_SECONDS:
        raise StopWork(
            f"This host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's: "
            "set both by NTP, or leases run out while work goes on."
        )
