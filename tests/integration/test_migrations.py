"""Migrations create the schema of db.tables, on both databases, from every version."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from databases import downgrade
from sqlalchemy import Column, Connection, MetaData, Table, insert, inspect, literal_column, select, text

import db.alarm_tables
import db.drift_tables
import db.series_tables  # noqa: F401 - they add their tables to the metadata
from db import schema
from db.engine import Database, open_database
from db.readers import VIEWS
from db.store_tables import copies
from db.tables import State, metadata, work


def test_an_upgrade_from_nothing_gives_the_tables_of_the_code(empty_database: Database) -> None:
    """Alembic finds no difference between the migrated database and db.tables."""
    schema.upgrade(empty_database)

    with empty_database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, metadata)
    left_out = {change[1].name for change in found if change[0] == "add_fk"}
    assert len(found) == len(left_out)
    assert left_out == (set() if empty_database.is_sqlite else _ONLY_ON_SQLITE)


_ONLY_ON_SQLITE = {
    "fk_work_instance_id",
    "fk_contents_work_id",
    "fk_predictions_work_id",
    "fk_instances_source_id",
}
"""Foreign keys that PostgreSQL would check with a query per image."""


def test_migrated_indexes_equal_those_of_the_code(empty_database: Database) -> None:
    """Columns and conditions of all indexes equal those of `metadata.create_all`."""
    schema.upgrade(empty_database)
    migrated = _indexes(empty_database)
    with empty_database.writer.begin() as connection:
        for view in VIEWS:
            connection.execute(text(f"DROP VIEW {view}"))
        metadata.drop_all(connection)
        metadata.create_all(connection)

    assert migrated == _indexes(empty_database)
    assert sum(" WHERE " in definition for definition in migrated) == sum(
        bool(index.dialect_options["sqlite"]["where"] is not None)
        for table in metadata.tables.values()
        for index in table.indexes
    )


def test_a_rewritten_table_equals_that_of_the_code(tmp_path: Path) -> None:
    """SQLite's text of the tables is right after an upgrade, and after a downgrade and another upgrade."""
    database = open_database(f"sqlite:///{tmp_path / 'record.sqlite3'}")
    with database.writer.begin() as connection:
        metadata.create_all(connection)
        of_code = _definitions(connection)
        metadata.drop_all(connection)

    for _ in range(2):
        schema.upgrade(database)
        with database.read() as connection:
            migrated = _definitions(connection)
            assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
        assert migrated["contents"] == of_code["contents"]
        assert sorted(re.findall(r"REFERENCES \w+", migrated["work"])) == ["REFERENCES instances"]
        downgrade(database, "0004")
        with database.read() as connection:
            assert len(re.findall("REFERENCES", _definitions(connection)["work"])) == 3
    database.close()


def _definitions(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    return {row.name: "".join(row.sql.split()).replace('"', "") if row.name != "work" else row.sql for row in rows}


def test_a_second_upgrade_does_nothing(empty_database: Database) -> None:
    """An upgrade can run twice."""
    schema.upgrade(empty_database)
    before = _indexes(empty_database)

    schema.upgrade(empty_database)

    assert _indexes(empty_database) == before
    schema.require_newest(empty_database)


def test_a_downgrade_leaves_nothing_behind(empty_database: Database) -> None:
    """A downgrade to the base and an upgrade give the same schema."""
    schema.upgrade(empty_database)
    downgrade(empty_database)
    with empty_database.read() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]

    schema.upgrade(empty_database)
    schema.require_newest(empty_database)


def test_rows_survive_an_upgrade_and_adowngrade(empty_database: Database) -> None:
    """Rows of schema 0001 stay; their results are not on trial, name no rule and have no remark."""
    schema.upgrade(empty_database)
    downgrade(empty_database, "0001")
    empty_database.write(lambda connection: [connection.execute(text(row)) for row in _OLD_ROWS])

    schema.upgrade(empty_database)
    with empty_database.read() as connection:
        columns = (work.c.label, work.c.shadow, work.c.route_id, work.c.matched, work.c.remarks)
        assert connection.execute(select(*columns)).all() == [("nodule", False, None, None, None)]

    downgrade(empty_database, "0001")
    with empty_database.read() as connection:
        assert connection.execute(text("SELECT label FROM work")).scalars().all() == ["nodule"]
        assert not {"shadow", "route_id", "matched", "remarks"} & {
            c["name"] for c in inspect(connection).get_columns("work")
        }


@pytest.mark.parametrize(("revision", "number"), [("0001", 9), ("0023", 28)])
def test_an_upgrade_loses_no_row_and_no_value(empty_database: Database, revision: str, number: int) -> None:
    """Each table of an old schema has rows with a value in each column, and they are the same afterwards."""
    schema.upgrade(empty_database)
    downgrade(empty_database, revision)
    old = MetaData()
    with empty_database.read() as connection:
        old.reflect(connection)
    tables = [table for table in old.sorted_tables if table.name != "alembic_version"]
    for table in tables:
        rows = [{column.name: _value(column, row) for column in table.columns} for row in (1, 2, 3)]
        empty_database.write(lambda connection, table=table, rows=rows: connection.execute(insert(table), rows))
    before = {table.name: _rows(empty_database, table) for table in tables}

    schema.upgrade(empty_database)

    assert {table.name: _rows(empty_database, table) for table in tables} == before
    assert {name: len(rows) for name, rows in before.items()} == dict.fromkeys(before, 3)
    assert len(before) == number


def test_an_upgrade_finds_the_copies_that_other_sources_sent(empty_database: Database) -> None:
    """Duplicates of before schema 0011 keep their originals from being replaced; those of the same source do not."""
    schema.upgrade(empty_database)
    downgrade(empty_database, "0010")
    old, moment = MetaData(), datetime(2026, 11, 5, tzinfo=UTC)
    with empty_database.read() as connection:
        old.reflect(connection)
    work_of = {"ordinal": 0, "attempts": 1, "deaths": 0, "expiries": 0, "priority": 5, "alone": False}
    rows: dict[str, list[dict[str, Any]]] = {
        "sources": [
            {"id": number, "name": f"s{number}", "kind": "folder", "root": "/", "created_at": moment}
            for number in (1, 2)
        ],
        "instances": [
            {"id": number, "source_id": source, "uri": "u", "uri_key": str(number), "size": 1, "mtime_ns": 1}
            | {"arrived_at": moment}
            for number, source in ((1, 1), (2, 2), (3, 2), (4, 1))
        ],
        "work": [
            work_of | {"id": number, "instance_id": number, "state": state, "duplicate_of": original}
            for number, state, original in ((1, "done", None), *((copy, "duplicate", 1) for copy in (2, 3, 4)))
        ],
    }
    for name, given in rows.items():
        statement = insert(old.tables[name])
        empty_database.write(lambda connection, to=statement, given=given: connection.execute(to, given))

    schema.upgrade(empty_database)
    with empty_database.read() as connection:
        assert [tuple(row) for row in connection.execute(select(copies))] == [(1, 2, 0, 2)]


def test_two_hosts_may_upgrade_at_once(empty_database: Database) -> None:
    """Two concurrent upgrades from nothing both succeed."""
    url = empty_database.writer.url.render_as_string(hide_password=False)
    databases = [open_database(url) for _ in range(4)]
    with ThreadPoolExecutor(len(databases)) as pool:
        for upgraded in [pool.submit(schema.upgrade, database) for database in databases]:
            upgraded.result(60)

    indexes = _indexes(databases[0])
    assert indexes
    for database in databases:
        schema.require_newest(database)
        assert _indexes(database) == indexes
        database.close()


def _indexes(database: Database) -> list[str]:
    statements: dict[bool, str] = {
        True: "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        False: "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
    }
    with database.read() as connection:
        return sorted(connection.execute(text(statements[database.is_sqlite])).scalars())


def _rows(database: Database, table: Table) -> list[Any]:
    """Return all rows; `sha256` is called `content` since schema 0020."""
    with database.read() as connection:
        present = {column["name"] for column in inspect(connection).get_columns(table.name)}
        columns = [column if column.name in present else literal_column("content") for column in table.columns]
        return sorted(repr(tuple(row)) for row in connection.execute(select(*columns).select_from(table)))


def _value(column: Column[Any], number: int) -> Any:
    """Return a value for a column, different in each row; foreign keys name existing rows."""
    if column.name == "state":
        return State.DONE.value
    if column.name == "ordinal":
        return 0
    kind: Any = column.type.python_type
    texts = f"{number}" * min(getattr(column.type, "length", None) or 3, 36)
    values: dict[Any, Any] = {
        int: number,
        float: number / 8,
        bool: bool(number % 2),
        str: texts,
        datetime: datetime(2026, 11, number, 22, 30, number, tzinfo=UTC),
        object: {"a": number},  # a JSON column
    }
    return values[kind]


_OLD_ROWS = (
    "INSERT INTO sources (id, name, kind, root, created_at) VALUES (1, 'a', 'folder', '/a', '2026-11-05 22:00:00')",
    (
        "INSERT INTO instances (id, source_id, uri, uri_key, size, mtime_ns, arrived_at)"
        " VALUES (1, 1, 'x', 'x', 1, 1, '2026-11-05 22:00:00')"
    ),
    (
        "INSERT INTO work (id, instance_id, ordinal, state, attempts, deaths, expiries, priority, alone, label)"
        " VALUES (1, 1, 0, 'done', 1, 0, 0, 5, false, 'nodule')"
    ),
)
