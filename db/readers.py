"""Let a role of PostgreSQL read the views, and nothing else."""

from sqlalchemy import Connection, text

from db.engine import Database
from nightread.errors import UsageFault

VIEWS = ("v_results", "v_studies", "v_nights", "v_batches", "v_series")
"""The views for people and their programs (docs/sql.md)."""


def grant_readers(database: Database, role: str) -> bool:
    """Grant SELECT on the views to an existing role. Returns False if the role has other rights to read the tables.

    The views run with the rights of their owner, so the role needs no right on the tables, which hold the keyed hashes
    of patient numbers. Raises UsageFault on SQLite and for an unknown role.
    """
    if database.is_sqlite:
        raise UsageFault(
            "SQLite has no roles: everyone who may read the database file may read all of it. "
            "Restrict the permissions of the state folder, or use PostgreSQL."
        )

    def transaction(connection: Connection) -> bool:
        if connection.execute(_ROLE, {"role": role}).first() is None:
            raise UsageFault(f"PostgreSQL has no role {role}: create it first with CREATE ROLE ... LOGIN PASSWORD ...")
        quote = connection.dialect.identifier_preparer.quote_identifier
        names = connection.execute(_NAMES).one()
        for statement in (
            f"GRANT CONNECT ON DATABASE {quote(names.database)} TO {quote(role)}",
            f"GRANT USAGE ON SCHEMA {quote(names.schema)} TO {quote(role)}",
            f"GRANT SELECT ON {', '.join(VIEWS)} TO {quote(role)}",
        ):
            connection.exec_driver_sql(statement)
        return not connection.execute(_MAY_READ_TABLES, {"role": role}).scalar_one()

    return database.write(transaction)


_ROLE = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
_NAMES = text("SELECT current_database() AS database, current_schema() AS schema")
_MAY_READ_TABLES = text("SELECT has_table_privilege(CAST(:role AS name), 'instances', 'SELECT')")
