"""One statement for many rows writes what one statement per row would write, on both databases."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import StatementError

from db.bulk import execute_many, is_any_of, write_rows
from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.tables import bundles, instances, predictions, sources

_COLUMNS = ("id", "name", "kind", "root", "created_at", "report", "reported_at", "marked", "cursor", "trust")
_BERLIN = ZoneInfo("Europe/Berlin")
_TWICE = datetime(2026, 10, 25, 2, 30, tzinfo=_BERLIN)
_ROWS: list[tuple[Any, ...]] = [
    (1, "plain", "folder", "/", _TWICE, None, None, True, None, None),
    (2, "quotes", "folder", "{\"a\",'b',NULL}\\", _TWICE.replace(fold=1), {"a": [1, None]}, _TWICE, False, [], ""),
    (2**40, "Ärzte 医師", "NULL", "", datetime(1, 1, 1, tzinfo=UTC), {}, _TWICE.replace(fold=1), True, "x", "group"),
    (3, "plain too", "folder", "/", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), 1.5, None, False, None, None),
]
"""Times that Python takes for equal, words of SQL, and absent values."""


def test_rows_are_written_as_by_one_statement_each(database: Database) -> None:
    """Text, numbers, times, JSON and absent values are read as they were given."""
    read = []
    for write in (execute_many, write_rows):
        with database.writer.begin() as connection:
            assert write(connection, insert(sources), _COLUMNS, _ROWS) == len(_ROWS)
            read.append(connection.execute(select(sources).order_by(sources.c.id)).all())
            connection.execute(delete(sources))

    assert read[0] == read[1]
    given = {row[0]: row for row in _ROWS}
    for row in read[1]:
        times = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in given[row.id]]
        assert tuple(row) == tuple(times)


def test_an_update_changes_the_rows_that_it_names(database: Database) -> None:
    """The number of rows that were found is returned; no rows are no statement."""
    rename = (
        update(sources).where(sources.c.id == bindparam("which")).values(name=bindparam("new_name"), kind="renamed")
    )
    with database.writer.begin() as connection:
        write_rows(connection, insert(sources), _COLUMNS, _ROWS)

        assert write_rows(connection, rename, ("which", "new_name"), [(1, "one"), (3, "three"), (77, "none")]) == 2
        assert write_rows(connection, rename, ("which", "new_name"), []) == 0

        kinds = select(sources.c.id, sources.c.name).where(sources.c.kind == "renamed").order_by(sources.c.id)
        assert connection.execute(kinds).all() == [(1, "one"), (3, "three")]


def test_rows_whose_key_exists_or_comes_twice_are_left_out(database: Database) -> None:
    """The first row of a key stays, and the number of new rows is returned."""
    with database.writer.begin() as connection:
        insert_if_absent(connection, sources, _COLUMNS, _ROWS[:2])
        again = [(*row[:2], "other", *row[3:]) for row in (_ROWS[0], _ROWS[2], _ROWS[2])]

        assert insert_if_absent(connection, sources, _COLUMNS, again) == 1
        kinds = connection.execute(select(sources.c.kind).order_by(sources.c.id)).scalars().all()

    assert kinds == ["folder", "folder", "other"]


@pytest.mark.parametrize("score", [0.1 + 0.2, -1e-300, float("inf")])
def test_numbers_keep_every_bit(database: Database, score: float) -> None:
    """Also beside an absent value."""
    columns = ("work_id", "frame", "label", "score", "scores")
    with database.writer.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        write_rows(
            connection, insert(predictions), columns, [(1, 0, None, score, [0.1 + 0.2]), (1, 2**31 - 1, "a", 1, [])]
        )
        first, second = connection.execute(select(predictions).order_by(predictions.c.frame)).all()
        connection.rollback()

    assert (first.label, first.score, first.scores) == (None, score, [0.1 + 0.2])
    assert (second.label, second.frame, second.score) == ("a", 2**31 - 1, 1.0)


def test_a_value_that_its_column_refuses_is_an_error_without_the_value(database: Database) -> None:
    """The statement is not run."""
    created_at = datetime(2026, 11, 5, 22, 0)  # noqa: DTZ001
    with database.writer.begin() as connection, pytest.raises(StatementError) as error:
        write_rows(connection, insert(sources), _COLUMNS, [(*_ROWS[0][:4], created_at, *_ROWS[0][5:])])

    assert str(created_at) not in str(error.value)


def test_a_list_of_values_finds_its_rows(database: Database) -> None:
    """An empty list finds none; text with signs of SQL is text."""
    found = select(sources.c.id).where(is_any_of(sources.c.name, "names")).order_by(sources.c.id)
    numbered = select(sources.c.id).where(is_any_of(sources.c.id, "ids"), sources.c.kind == bindparam("kind"))
    with database.writer.begin() as connection:
        write_rows(connection, insert(sources), _COLUMNS, _ROWS)

        assert _ids(connection, found, names=["plain", "plain too", "{}", "', NULL"]) == [1, 3]
        assert _ids(connection, found, names=[]) == []
        assert _ids(connection, found, names=["Ärzte 医師"]) == [2**40]
        assert _ids(connection, numbered, ids=range(5), kind="folder") == [1, 2, 3]


def test_settings_of_a_bulk_transaction_end_with_it(database: Database) -> None:
    """Only results that may be computed again are confirmed before they are on disk."""
    if database.is_sqlite:
        pytest.skip("SQLite has no such settings")
    names = ("enable_hashjoin", "enable_mergejoin", "synchronous_commit")
    default = database.write(lambda connection: _settings(connection, names))

    assert database.write_bulk(lambda connection: _settings(connection, names)) == ["off", "off", default[2]]
    without_wait = database.write_bulk(lambda connection: _settings(connection, names), wait_for_disk=False)
    assert without_wait == ["off", "off", "off"]
    assert database.write(lambda connection: _settings(connection, names)) == default


@pytest.mark.parametrize("table", [bundles, instances], ids=str)
def test_every_type_of_the_large_tables_can_be_an_array(database: Database, table: Any) -> None:
    """A row without any value but its key is refused for what it lacks, not for its types."""
    names = tuple(column.name for column in table.columns)
    with database.writer.connect() as connection, pytest.raises(StatementError, match=r"(?i)null"):
        write_rows(connection, insert(table), names, [(1, *[None] * (len(names) - 1))])


def _settings(connection: Connection, names: tuple[str, ...]) -> list[str]:
    return [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]


def _ids(connection: Connection, statement: Any, **values: Any) -> list[int]:
    return list(connection.execute(statement, values).scalars())
