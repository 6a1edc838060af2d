"""Find the images of a period that a person retried after its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from db.engine import Database
from db.queries.snapshot import snapshot
from db.tables import audit, instances, work

_IMAGES_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """The images of a period that were retried after its end, and the last outcome of its other images."""

    finished: int
    """Retried images that have their new outcome."""
    unfinished: int
    """Retried images that have no new outcome yet."""
    last_other_outcome: datetime | None


def retried_later(database: Database, *, since: datetime, until: datetime) -> Retried | None:
    """Count the arrivals from `since` to `until` that were retried after `until`; return None if there are none."""
    with snapshot(database) as connection:
        retries = connection.execute(select(audit.c.detail).where(audit.c.at >= until, audit.c.action == _ACTION))
        ids = {image[0] for row in retries for image in (row.detail or {}).get("images", ())}
        if not ids:
            return None
        arrived = (instances.c.arrived_at >= since, instances.c.arrived_at < until)
        rows = [row for some in _portions(sorted(ids)) for row in _rows(connection, arrived, some)]
        if not rows:
            return None
        chosen = {image_id for image_id, _ in rows}
        unfinished = sum(finished_at is None for _, finished_at in rows)
        last = _last_of_others(connection, arrived, until, chosen)
    return Retried(finished=len(rows) - unfinished, unfinished=unfinished, last_other_outcome=last)


def _portions(ids: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(ids), _IMAGES_AT_ONCE):
        yield ids[begin : begin + _IMAGES_AT_ONCE]


def _rows(
    connection: Connection, arrived: tuple[ColumnElement[bool], ...], ids: list[int]
) -> list[tuple[int, datetime | None]]:
    statement = (
        select(work.c.instance_id, work.c.finished_at)
        .join(instances, instances.c.id == work.c.instance_id)
        .where(*arrived, work.c.instance_id.in_(ids), work.c.ordinal == 0)
    )
    return [(row.instance_id, row.finished_at) for row in connection.execute(statement)]


def _last_of_others(
    connection: Connection, arrived: tuple[ColumnElement[bool], ...], until: datetime, ids: set[int]
) -> datetime | None:
    """Return the time of the last outcome of the images that are not in `ids`; None if there is none.

    Outcomes after `until` are searched first.
    """
    joined = select(work.c.instance_id, work.c.finished_at).join(instances, instances.c.id == work.c.instance_id)
    late = joined.where(*arrived, work.c.ordinal == 0, work.c.finished_at > until).order_by(work.c.finished_at.desc())
    late = late.limit(len(ids) + 1)  # one of these rows is another image, if there is one
    for row in connection.execute(late):
        if row.instance_id not in ids:
            latest: datetime = row.finished_at
            return latest
    before = (
        select(func.max(work.c.finished_at))
        .join(instances, instances.c.id == work.c.instance_id)
        .where(*arrived, work.c.ordinal == 0, work.c.finished_at <= until)
    )
    found: datetime | None = connection.execute(before).scalar()
    return found


_ACTION = "images.retry"
