"""Add and revoke keys of the HTTP API, each with a row of `audit`, and store when keys were last used."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from db.bulk import execute_many
from db.engine import Database
from db.store_tables import api_keys
from db.tables import audit


def add_api_key(
    database: Database,
    *,
    name: str,
    token_hash: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    actor: str,
    now: datetime,
) -> bool:
    """Store a key with the hash of its token. Returns False if an unrevoked key of this name exists."""

    def transaction(connection: Connection) -> bool:
        if connection.execute(_OF_NAME, {"named": name}).first():
            return False
        row = {"name": name, "scopes": " ".join(scopes), "expires_at": expires_at}
        connection.execute(insert(api_keys).values(**row, token_hash=token_hash, created_at=now, created_by=actor))
        shown = {**row, "expires_at": expires_at.isoformat() if expires_at else None}
        connection.execute(insert(audit).values(at=now, actor=actor, action="keys.add", detail=shown))
        return True

    return database.write(transaction)


def revoke_api_key(database: Database, name: str, *, actor: str, now: datetime) -> bool:
    """Revoke the key of this name. Returns False if no unrevoked key has this name."""

    def transaction(connection: Connection) -> bool:
        if not connection.execute(_REVOKE, {"named": name, "now": now}).rowcount:
            return False
        connection.execute(insert(audit).values(at=now, actor=actor, action="keys.revoke", detail={"name": name}))
        return True

    return database.write(transaction)


def note_api_key_uses(database: Database, used: Mapping[int, datetime]) -> None:
    """Store when keys were last used; `used` has the time of each key by its id."""
    rows = [(key_id, moment) for key_id, moment in used.items()]
    database.write(lambda connection: execute_many(connection, _TOUCH, ("key", "moment"), rows))


_IN_FORCE = (api_keys.c.name == bindparam("named"), api_keys.c.revoked_at.is_(None))
_OF_NAME = select(api_keys.c.id).where(*_IN_FORCE)
_REVOKE = update(api_keys).where(*_IN_FORCE).values(revoked_at=bindparam("now"))
_TOUCH = update(api_keys).where(api_keys.c.id == bindparam("key")).values(last_used_at=bindparam("moment"))
