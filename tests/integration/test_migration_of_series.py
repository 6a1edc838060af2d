"""Schema 0027 keeps series and their results, although SQLite writes the table of series anew."""

from databases import downgrade
from sqlalchemy import text

from db import schema
from db.engine import Database

_ROWS = (
    """
    INSERT INTO series (id, series_instance_uid, study_instance_uid, state, began_at, changed_at, attempts) VALUES
        (1, '1.1', '1.2', 'formed', '2026-11-05 22:00:00', '2026-11-05 22:00:00', 1),
        (2, '1.3', '1.4', 'collecting', '2026-11-05 22:00:00', '2026-11-05 22:00:00', 0)
    """,
    """
    INSERT INTO bundles (id, name, version, digest, labels, registered_at)
    VALUES (1, 'n', '1', 'd', '[]', '2026-11-05 22:00:00')
    """,
    """
    INSERT INTO series_results (series_id, bundle_id, stack, state, slices, of_slices, partial, places, evidence,
        revision, content, formed_at)
    VALUES (1, 1, 1, 'done', 1, 1, false, '[[5, 0, 0.5]]', '[1]', 1, 'x', '2026-11-05 22:00:00')
    """,
)
_SECOND_STUDY = """
    INSERT INTO series (id, series_instance_uid, study_instance_uid, state, began_at, changed_at, attempts)
    VALUES (3, '1.1', '1.9', 'formed', '2026-11-05 22:00:00', '2026-11-05 22:00:00', 1)
"""


def test_series_and_results_survive_the_new_key(empty_database: Database) -> None:
    """Then a second study may have a series of the same UID; a downgrade keeps the first one."""
    schema.upgrade(empty_database)
    downgrade(empty_database, "0026")
    empty_database.write(lambda connection: [connection.execute(text(row)) for row in _ROWS])

    schema.upgrade(empty_database)
    assert _all(empty_database, "SELECT series_instance_uid, state FROM v_series") == [("1.1", "done"), ("1.3", None)]
    empty_database.write(lambda connection: connection.execute(text(_SECOND_STUDY)))

    downgrade(empty_database, "0026")
    known = [("1.1", "1.2"), ("1.3", "1.4")]
    assert _all(empty_database, "SELECT series_instance_uid, study_instance_uid FROM series") == known
    assert _all(empty_database, "SELECT series_id, revision FROM series_results") == [(1, 1)]


def _all(database: Database, statement: str) -> list[tuple[object, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(text(f"{statement} ORDER BY 1"))]
