"""Let one process at a time change what is kept of drift, on PostgreSQL; SQLite has one writer."""

from sqlalchemy import Connection, text

_KEY = 0x64726674  # "drft"
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def lock_drift(connection: Connection) -> None:
    """Wait for the other transaction: two that insert the same night or reference would break a unique key."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"key": _KEY})
