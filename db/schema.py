"""Upgrade the schema of the database, and check that it has the version of this release."""

import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from db.engine import Database, statement_journal_on_disk
from nightread.errors import StopWork

_MIGRATIONS = Path(__file__).parent / "migrations"
NEW_SQLITE = _MIGRATIONS / "new_sqlite.sql"
"""The schema of a new SQLite database; `python tools/update_schema.py` writes this file by running all migrations.
Executing the file takes 20 ms of processor time; importing Alembic and running the migrations takes 400 ms."""
_UPGRADE_LOCK = 0x75706772  # "upgr"; the lock is needed because several hosts may start at the same time


def upgrade(database: Database) -> None:
    """Upgrade the schema to the newest version; do nothing if it is up to date."""
    with database.writer.connect() as connection, statement_journal_on_disk(connection), connection.begin():
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        elif not inspect(connection).get_table_names():
            for statement in _statements(NEW_SQLITE.read_text("utf-8")):
                connection.exec_driver_sql(statement)
        if _revision(connection) != newest():
            from db.migrate import migrate  # noqa: PLC0415 - imports Alembic, which most starts do not need

            migrate(connection)


def require_newest(database: Database) -> None:
    """Raise StopWork unless the schema has the version of this release."""
    with database.read() as connection:
        present = _revision(connection)
    if present is not None and not is_known(present):
        raise StopWork(f"The database has schema {present} of a newer release: install that release on this host.")
    if present != newest():
        raise StopWork(
            f"The database has schema {present or 'none'}, this release needs {newest()}: run `nightread db upgrade`."
        )


def newest() -> str:
    """Return the revision of the newest schema."""
    return max(_revisions())


def is_known(revision: str) -> bool:
    """Return whether this release knows this revision; it does not know the revisions of newer releases."""
    return revision in _revisions()


@cache
def _revisions() -> frozenset[str]:
    """Return the revisions of all migrations, from their file names: `0001` of `0001_first_schema.py`."""
    return frozenset(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    """Return the revision that Alembic stored; None for a database without schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _statements(script: str) -> Iterator[str]:
    """Split a script into its statements; `executescript` of sqlite3 would commit the open transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
