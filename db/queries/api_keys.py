"""List the keys of the HTTP API."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from db.engine import Database
from db.store_tables import api_keys as api_keys_table


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """One key, active or not. The database has no token, only its hash."""

    id: int
    name: str
    token_hash: str
    """SHA-256 of the token, in hex digits."""
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_in_force(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def api_keys(database: Database) -> list[ApiKey]:
    """List all keys, oldest first, including those that are revoked or expired."""
    with database.read() as connection:
        rows = connection.execute(select(api_keys_table).order_by(api_keys_table.c.id)).all()
    return [
        ApiKey(
            id=row.id,
            name=row.name,
            token_hash=row.token_hash,
            scopes=tuple(row.scopes.split()),
            created_at=row.created_at,
            created_by=row.created_by,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]
