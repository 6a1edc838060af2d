"""A new SQLite database gets the newest schema from a text without Alembic, equal to what the migrations make."""

import importlib.util
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from db import schema
from db.engine import open_database
from db.migrate import alembic_config, migrate

TOOL = Path(__file__).parents[2] / "tools" / "update_schema.py"


def test_the_stored_schema_is_that_of_the_migrations() -> None:
    """Tables, indexes and views have the same text in both, and so do the rows that migrations insert."""
    assert schema.NEW_SQLITE.read_text("utf-8") == _tool().migrated_schema(), "run: python tools/update_schema.py"


def test_a_new_database_equals_a_migrated_one(tmp_path: Path) -> None:
    """SQLite's own catalogue has the same entries."""
    paths = [tmp_path / name for name in ("new.sqlite3", "migrated.sqlite3")]
    with closing(open_database(f"sqlite:///{paths[0]}")) as database:
        schema.upgrade(database)
    with closing(open_database(f"sqlite:///{paths[1]}")) as database, database.writer.begin() as connection:
        migrate(connection)

    new, migrated = (_catalogue(path) for path in paths)

    assert new == migrated
    assert len(new) > 50


def test_the_names_of_migrations_tell_their_revisions() -> None:
    """Revisions are found without Alembic: the newest is its head, and all of its revisions are known."""
    with closing(open_database("sqlite://")) as database, database.writer.connect() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))

    assert schema.newest() == script.get_current_head()
    assert schema._revisions() == {revision.revision for revision in script.walk_revisions()}


def test_a_stored_schema_of_an_older_release_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations that came after it run as they would on any other database."""
    with closing(open_database(f"sqlite:///{tmp_path / 'old.sqlite3'}")) as database:
        with database.writer.begin() as connection:
            migrate(connection, "0015")
        with closing(sqlite3.connect(tmp_path / "old.sqlite3")) as old:
            (tmp_path / "old.sql").write_text("\n".join(list(old.iterdump())[1:-1]), "utf-8")
    monkeypatch.setattr(schema, "NEW_SQLITE", tmp_path / "old.sql")

    with closing(open_database(f"sqlite:///{tmp_path / 'new.sqlite3'}")) as database:
        schema.upgrade(database)
        schema.require_newest(database)


def test_a_failure_leaves_an_empty_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema is created in one transaction."""
    half = schema.NEW_SQLITE.read_text("utf-8").partition("CREATE INDEX")[0] + "CREATE NONSENSE;\n"
    (tmp_path / "half.sql").write_text(half, "utf-8")
    monkeypatch.setattr(schema, "NEW_SQLITE", tmp_path / "half.sql")

    with closing(open_database(f"sqlite:///{tmp_path / 'new.sqlite3'}")) as database:
        with pytest.raises(Exception, match="syntax error"):
            schema.upgrade(database)
        with database.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one() == 0


def _catalogue(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return sorted(rows, key=str)


def _tool() -> Any:
    spec = importlib.util.spec_from_file_location("update_schema", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("update_schema", module)
    spec.loader.exec_module(module)
    return module
