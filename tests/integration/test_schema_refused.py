"""A database that this release cannot use is refused, and the message says what to do."""

import pytest
from sqlalchemy import text

from db import schema
from db.engine import Database, open_database
from nightread.errors import StopWork


def test_a_database_without_schema_is_refused(empty_database: Database) -> None:
    """The message names the command that creates the schema."""
    with pytest.raises(StopWork, match=r"has schema none, .* run `nightread db upgrade`"):
        schema.require_newest(empty_database)


def test_a_database_of_a_newer_release_is_refused(empty_database: Database) -> None:
    """An older release must not write to it, and an upgrade would not help."""
    schema.upgrade(empty_database)
    with empty_database.writer.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StopWork, match=r"schema 9999.*newer release"):
        schema.require_newest(empty_database)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://root@localhost/x", "PostgreSQL or SQLite"),
        ("sqlite:////no/such/folder/x.sqlite3", "/no/such/folder, does not exist"),
    ],
)
def test_an_unusable_database_url_is_refused(url: str, message: str) -> None:
    """For another kind of server or a missing folder, the message says what to do."""
    with pytest.raises(StopWork, match=message):
        open_database(url)
