"""Upgrade the schema of the database, and refuse to work with any other version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from db.engine import Database, statement_journal_on_disk
from nightread.errors import StopWork

_MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE_LOCK = 0x75706772  # "upgr"; the lock is needed because several hosts may start at the same time


def upgrade(database: Database) -> None:
    """Upgrade the schema to the newest version; do nothing if it is up to date."""
    config = _config()
    with database.writer.connect() as connection, statement_journal_on_disk(connection), connection.begin():
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_newest(database: Database) -> None:
    """Raise StopWork unless the schema has the version of this release."""
    script = ScriptDirectory.from_config(_config())
    newest = script.get_current_head()
    with database.read() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present is not None and not is_known(present):
        raise StopWork(f"The database has schema {present} of a newer release: install that release on this host.")
    if present != newest:
        raise StopWork(
            f"The database has schema {present or 'none'}, this release needs {newest}: run `nightread db upgrade`."
        )


def is_known(revision: str) -> bool:
    """Return whether this release can upgrade a schema of this revision; it cannot if the revision is newer."""
    script = ScriptDirectory.from_config(_config())
    return revision in {known.revision for known in script.walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
