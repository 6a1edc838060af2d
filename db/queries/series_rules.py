"""Find series that contradict what the database has of their images, for `nightread audit`."""

from typing import Any

from sqlalchemy import Integer, Select, and_, literal_column, select

from db.series_tables import is_unformed, series
from db.tables import instances

_NO_IMAGE = literal_column("NULL", Integer)


def series_without_image() -> Select[Any]:
    """Return a query with one row for each series without an image: a purge should have removed the series."""
    of_series = and_(
        instances.c.study_instance_uid == series.c.study_instance_uid,
        instances.c.series_instance_uid == series.c.series_instance_uid,
    )
    return select(_NO_IMAGE).select_from(series).where(~select(instances.c.id).where(of_series).exists())


def series_with_a_wrong_claim() -> Select[Any]:
    """Return a query with one row for each series whose claim and lease do not fit its state.

    A series has a claim and a lease exactly while it is being formed.
    """
    is_forming = is_unformed("forming")
    has_claim, has_lease = series.c.claim.is_not(None), series.c.lease_until.is_not(None)
    return select(_NO_IMAGE).select_from(series).where((is_forming != has_claim) | (has_claim != has_lease))
