"""Store how many images a study has, according to a store, a manifest or a header."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, update

from db.bulk import execute_many
from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Expected
from db.store_tables import expected


def expect(database: Database, rows: Sequence[Expected], *, now: datetime) -> None:
    """Store the latest number of images by study, source and kind of reporter; from headers, store the highest.

    A header may have a lower number, because it was written before images were added to its study. `reported_at`
    changes only when the number changes, because a store reports the same number many times.
    """
    if rows:
        database.write(lambda connection: expect_within(connection, rows, now=now))


def expect_within(connection: Connection, rows: Sequence[Expected], *, now: datetime) -> None:
    """Store expected numbers as part of the caller's transaction."""
    values = [(row.study_instance_uid, row.source_id, row.reported_by, row.images, now) for row in rows]
    insert_if_absent(connection, expected, _COLUMNS, values)
    execute_many(connection, _UPDATE, tuple(f"the_{name}" for name in _COLUMNS), values)


_COLUMNS = ("study_instance_uid", "source_id", "reported_by", "images", "reported_at")

_UPDATE = (
    update(expected)
    .where(
        expected.c.study_instance_uid == bindparam("the_study_instance_uid"),
        expected.c.source_id == bindparam("the_source_id"),
        expected.c.reported_by == bindparam("the_reported_by"),
        expected.c.images != bindparam("the_images"),
        or_(bindparam("the_reported_by") != "header", expected.c.images < bindparam("the_images")),
    )
    .values(images=bindparam("the_images"), reported_at=bindparam("the_reported_at"))
)
