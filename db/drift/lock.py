"""Let one transaction at a time change the tables of drift on PostgreSQL; SQLite has only one writer."""

from sqlalchemy import Connection, text

_KEY = 0x64726674  # "drft"
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def lock_drift(connection: Connection) -> None:
    """Lock the tables of drift until the transaction ends; wait while another transaction holds the lock.

    Without it, two transactions could insert the same night or reference, which violates a unique key.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"key": _KEY})
