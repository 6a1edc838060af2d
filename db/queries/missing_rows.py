"""Find rows that name a missing row. PostgreSQL does not prevent this: it has no foreign keys for these columns."""

from typing import Any

from sqlalchemy import Integer, Select, literal_column, select, union_all

from db.tables import contents, instances, predictions, sources, work

_NO_IMAGE = literal_column("NULL", Integer)
_NAMED = (
    (work.c.instance_id, work.c.instance_id, instances),
    (instances.c.id, instances.c.source_id, sources),
    (_NO_IMAGE, contents.c.work_id, work),
    (_NO_IMAGE, predictions.c.work_id, work),
)
"""For each column that names another row: the image to report, the column, and the table that should have the other
row."""


def rows_that_name_a_missing_row() -> Select[Any]:
    """Return a query for the image id of each row that names a missing row.

    The id is NULL for a row of `contents` or `predictions`.
    """
    found = [
        select(image).select_from(name.table).where(~select(table.c.id).where(table.c.id == name).exists())
        for image, name, table in _NAMED
    ]
    return select(union_all(*found).subquery())
