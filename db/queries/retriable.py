"""List failed and rejected images, and failed series, that can be retried."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select, tuple_

from db.engine import Database
from db.queries.filters import ImageFilter, conditions
from db.queries.series import FailedSeries
from db.queries.snapshot import snapshot, stream
from db.series_tables import FAILURE, series
from db.tables import State, contents, in_state, instances, sources, work


@dataclass(frozen=True, kw_only=True, slots=True)
class Retriable:
    """One image that ended as failed or rejected."""

    image_id: int
    state: str
    reason: str
    source: str
    kind: str
    root: str
    uri: str
    replaced: bool
    """True if the file was replaced: the present file at its place has other bytes or a later time, and its own row."""
    copy_is_done: bool
    """True if an image with the same bytes has a result by now."""


def retriable(database: Database, wanted: ImageFilter) -> Iterator[Retriable]:
    """Stream the failed and rejected images that match the filter, in the order of ids."""
    statement = (
        select(
            instances.c.id.label("image_id"),
            work.c.state,
            work.c.reason,
            sources.c.name.label("source"),
            sources.c.kind,
            sources.c.root,
            instances.c.uri,
            or_(instances.c.replaced_by.is_not(None), _WAS_TOUCHED).label("replaced"),
            _COPY_IS_DONE.label("copy_is_done"),
        )
        .join(work, work.c.instance_id == instances.c.id)
        .join(sources, sources.c.id == instances.c.source_id)
        .where(*conditions(wanted), in_state(State.FAILED, State.REJECTED), work.c.finished_at.is_not(None))
        .where(instances.c.purged_at.is_(None))
        .order_by(instances.c.id)
    )
    with snapshot(database) as connection:
        for row in stream(connection, statement):
            yield Retriable(**row._asdict())


def retriable_series(
    database: Database,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    reasons: Collection[str] = (),
    image_ids: Collection[int] = (),
) -> list[FailedSeries]:
    """List the failed series with their reasons, in the order of ids.

    A series failed if it could not be formed, or if a result of it failed. `since` and `until` limit the time of its
    latest change. `reasons` selects series that failed for one of these reasons, and `image_ids` series that contain
    one of these images; if both are given, both must hold.
    """
    statement = select(series.c.id, FAILURE).where(FAILURE.is_not(None))
    if since is not None:
        statement = statement.where(series.c.changed_at >= since)
    if until is not None:
        statement = statement.where(series.c.changed_at < until)
    if reasons:
        statement = statement.where(FAILURE.in_(reasons))
    if image_ids:
        keys = (instances.c.study_instance_uid, instances.c.series_instance_uid)
        known = (key.is_not(None) for key in keys)
        named = select(*keys).where(instances.c.id.in_(image_ids), *known)
        statement = statement.where(tuple_(series.c.study_instance_uid, series.c.series_instance_uid).in_(named))
    with database.read() as connection:
        return sorted(FailedSeries(*row) for row in connection.execute(statement))


_NEWER = instances.alias("newer")
_WAS_TOUCHED = (
    select(_NEWER.c.id)
    .where(
        and_(
            _NEWER.c.source_id == instances.c.source_id,
            _NEWER.c.uri_key == instances.c.uri_key,
            _NEWER.c.id > instances.c.id,
            _NEWER.c.content == instances.c.content,
            _NEWER.c.replaced_by.is_(None),
        )
    )
    .exists()
)
_COPY_IS_DONE = select(contents.c.work_id).where(contents.c.content == instances.c.content).exists()
