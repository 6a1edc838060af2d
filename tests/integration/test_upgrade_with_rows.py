"""An upgrade from schema 0023, of a release before series and drift, keeps a whole night."""

from typing import Any

import pytest
from databases import downgrade
from full_night import STUDY, fill_night, rows_by_table, tables_of
from ledger_driver import LedgerDriver, SettableClock
from sqlalchemy import column, inspect, select, table

from db import ledger, queries, schema
from db.engine import Database
from db.readers import VIEWS
from db.tables import State, bundles, instances, work

EMPTY = {"alarms", "api_key_uses", "copies", "notices", "receipts", "rule_actions", "senders", "watchdog_marks"}
"""Tables of schema 0023 that the night leaves empty; `test_migrations` fills all of them with invented rows."""


@pytest.fixture
def old_night(empty_database: Database, clock: SettableClock) -> LedgerDriver:
    """A database of schema 0023 after a night."""
    schema.upgrade(empty_database)
    source = ledger.ensure_source(empty_database, name="inbox", kind="folder", root="/data/inbox", now=clock())
    driver = LedgerDriver(database=empty_database, clock=clock, source_id=source)
    labels = {"labels": ["normal", "nodule"], "normal_label": "normal"}
    known = {"name": "phantom", "version": "1", "digest": "d" * 64, **labels}
    fill_night(driver, ledger.register_bundle(empty_database, now=clock(), **known))  # type: ignore[arg-type]
    downgrade(empty_database, "0023")
    return driver


def columns_of_views(database: Database) -> dict[str, list[str]]:
    """Return the names of the columns of each view that this schema has."""
    with database.read() as connection:
        found = inspect(connection)
        views = [view for view in VIEWS if view in found.get_view_names()]
        return {view: [each["name"] for each in found.get_columns(view)] for view in views}


def shown_by_views(database: Database, columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return what the views show in these columns, each row as text."""
    with database.read() as connection:
        return {
            view: sorted(
                repr(tuple(row))
                for row in connection.execute(select(*(column(name) for name in names)).select_from(table(view)))
            )
            for view, names in columns.items()
        }


def test_every_row_and_value_stays(old_night: LedgerDriver) -> None:
    """Tables and views show the same, and the rules of the ledger hold."""
    database = old_night.database
    tables, columns = tables_of(database), columns_of_views(database)
    before, shown = rows_by_table(database, tables), shown_by_views(database, columns)
    assert {name for name, rows in before.items() if not rows} == EMPTY & before.keys()
    assert all(shown.values())

    schema.upgrade(database)

    schema.require_newest(database)
    assert rows_by_table(database, tables) == before
    assert shown_by_views(database, columns) == shown
    assert list(queries.violations(database)) == []


def test_new_columns_say_that_nothing_is_known(old_night: LedgerDriver) -> None:
    """No bundle of before is one of series, and no image of before has a geometry or intensities."""
    schema.upgrade(old_night.database)
    with old_night.database.read() as connection:
        found: list[Any] = [
            set(connection.execute(select(added)).scalars())
            for added in (bundles.c.of_series, instances.c.geometry, instances.c.pixel_spacing, work.c.intensities)
        ]
    assert found == [{False}, {None}, {None}, {None}]
    assert queries.waiting_reruns(old_night.database) == []


def test_work_goes_on_after_the_upgrade(old_night: LedgerDriver) -> None:
    """Images that waited are analysed, an image of before is analysed again, and the study has its results."""
    database = old_night.database
    schema.upgrade(database)
    assert {State.RECEIVED, State.QUEUED, State.RUNNING} <= set(old_night.states())
    ledger.reset_unfinished(database, now=old_night.clock())
    old_night.analyse_all()
    assert not {State.RECEIVED, State.QUEUED, State.RUNNING} & set(old_night.states())
    trial = old_night.register_trial_bundle()
    ordered = ledger.plan_rerun(database, [2], [trial], shadow=False, actor="ann", now=old_night.clock())
    assert (ordered.added, ordered.waiting) == (1, 0)
    assert [each.waiting for each in queries.waiting_reruns(database)] == [1]
    assert any(study.study_instance_uid == STUDY for study in queries.studies(database, now=old_night.clock()))
    assert list(queries.violations(database)) == []
