"""Describe the contents of a copy of the database, so that a restored database can be compared with the copy."""

from collections.abc import Mapping
from dataclasses import dataclass

from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, inspect, select, table

from db.store_tables import opt_outs
from db.tables import instances


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseContents:
    """The contents of a database at one moment."""

    schema: str
    """Revision of the schema, such as `0015`."""
    rows: Mapping[str, int]
    """Number of rows by table."""
    site_keys: tuple[str, ...]
    """Ids of the site keys with which the numbers of patients were hashed: those of the latest image and of the
    opt-outs."""


def read_contents(connection: Connection) -> DatabaseContents:
    """Count the rows of all tables; `connection` should read from one snapshot."""
    return DatabaseContents(
        schema=MigrationContext.configure(connection).get_current_revision() or "none",
        rows=count_rows(connection),
        site_keys=site_keys(connection),
    )


def count_rows(connection: Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    names = sorted(inspect(connection).get_table_names())
    return {name: connection.execute(select(func.count()).select_from(table(name))).scalar_one() for name in names}


def site_keys(connection: Connection) -> tuple[str, ...]:
    """Return the ids of the site keys with which the numbers of patients were hashed.

    These are the keys of the latest image and of the opt-outs.
    """
    found: set[str] = set()
    if inspect(connection).has_table(opt_outs.name):  # older schemas lack this table
        found.update(connection.execute(select(opt_outs.c.key_id).distinct()).scalars())
    has_key = instances.c.key_id.is_not(None)
    latest = select(instances.c.key_id).where(has_key).order_by(instances.c.id.desc()).limit(1)
    found.update(connection.execute(latest).scalars())
    return tuple(sorted(found))
