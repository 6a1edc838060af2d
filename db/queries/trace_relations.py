"""Describe how images are related to other arrivals: versions, replaced files, notes, archives and copies."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, select

from db.bulk import execute_in_chunks
from db.queries.trace_events import Event, What
from db.store_tables import copies, senders
from db.tables import instances, sources, work

_Times = Mapping[int, tuple[datetime, datetime | None]]
"""For each image id, the time of the arrival and the time of the outcome."""


def relations(
    connection: Connection, arrivals: Mapping[int, Row[Any]], rows_of_work: Mapping[int, Sequence[Row[Any]]]
) -> Iterator[tuple[int, Event]]:
    """Yield (image id, event) for each relation of these images.

    The keys of both mappings are the ids of the images.
    """
    named = {other for row in arrivals.values() for other in (row.superseded_by, row.replaced_by, row.withdrawn_by)}
    times: dict[int, tuple[datetime, datetime | None]] = {
        row.id: (row.arrived_at, row.finished_at)
        for row in execute_in_chunks(connection, _TIMES, "images", sorted(named - {None}))
    }
    times |= {image_id: (row.arrived_at, rows_of_work[image_id][0].finished_at) for image_id, row in arrivals.items()}
    for row in arrivals.values():
        for event in _marks(row, times):
            yield row.id, event
    yield from _of_others(connection, list(arrivals), times)
    yield from _copies(connection, list(arrivals))


def _marks(row: Row[Any], times: _Times) -> Iterator[Event]:
    """Yield the relations that the image's own row names."""
    if row.superseded_by is not None:
        detail = (
            f"Image {row.superseded_by} is a newer version of it, with the same UIDs: its result is no longer current."
        )
        yield _event(What.SUPERSEDED, _both_done(row.id, row.superseded_by, times), detail, row.superseded_by)
    if row.replaced_by is not None:
        detail = f"Its file was replaced by another one at the same place, image {row.replaced_by}."
        # An earlier arrival replaces a later one if its file was restored; the time of this is not kept.
        at = times[row.replaced_by][0] if row.replaced_by > row.id else None
        yield _event(What.REPLACED, at, detail, row.replaced_by)
    if row.withdrawn_by is not None:
        detail = f"The key object note of image {row.withdrawn_by} rejects it (code {row.withdrawn_code})."
        at = _both_done(row.id, row.withdrawn_by, times)
        yield _event(What.WITHDRAWN, at, detail, row.withdrawn_by, code=row.withdrawn_code)


def _of_others(connection: Connection, image_ids: list[int], times: _Times) -> Iterator[tuple[int, Event]]:
    """Yield (image id, event) for the relations that are stored in the rows of other images.

    Each image has at most one event of each kind.
    """
    for what, statement in _REVERSE.items():
        for row in execute_in_chunks(connection, statement, "images", image_ids):
            number = f"{row.images:,} image{'' if row.images == 1 else 's'}"
            at = times[row.of][0 if what is What.REPLACES else 1]
            values = {"images": row.images, "first": row.first}
            yield row.of, Event(at=at, what=what, detail=_SENTENCES[what].format(number, row.first), values=values)


def _copies(connection: Connection, image_ids: list[int]) -> Iterator[tuple[int, Event]]:
    for row in execute_in_chunks(connection, _COPIES, "images", image_ids):
        sender = f", sent by {row.calling_ae} from {row.address}," if row.calling_ae is not None else ""
        detail = f"The same bytes arrived at the source {row.name}{sender} as image {row.first_id}."
        values = {"source": row.name, "calling_ae": row.calling_ae, "address": row.address, "image_id": row.first_id}
        yield row.original_id, Event(at=row.arrived_at, what=What.ARRIVED_ELSEWHERE, detail=detail, values=values)


def _event(what: What, at: datetime | None, detail: str, image_id: int, **values: Any) -> Event:
    return Event(at=at, what=what, detail=detail, values={"image_id": image_id, **values})


def _both_done(image_id: int, other_id: int, times: _Times) -> datetime | None:
    """Return the time of the later outcome of two images; None if one of the times is unknown.

    The relation of the images was stored at this time.
    """
    finished = [times[each][1] for each in (image_id, other_id) if each in times]
    known = [time for time in finished if time is not None]
    return max(known) if len(known) == len(finished) == 2 else None  # noqa: PLR2004 - both


def _naming(column: ColumnElement[Any]) -> Select[Any]:
    """Select for each given image how many other images name it in `column`, and the lowest id of these other images.

    The column has an index.
    """
    return (
        select(column.label("of"), func.count().label("images"), func.min(instances.c.id).label("first"))
        .where(column.in_(bindparam("images", expanding=True)))
        .group_by(column)
    )


_REVERSE = {
    What.SUPERSEDES: _naming(instances.c.superseded_by),
    What.REPLACES: _naming(instances.c.replaced_by),
    What.WITHDRAWS: _naming(instances.c.withdrawn_by),
    What.UNPACKED: _naming(instances.c.parent_id),
}
_SENTENCES = {
    What.SUPERSEDES: "It is a newer version of {}; the first is image {}.",
    What.REPLACES: "Its file replaced that of {} at the same place; the first is image {}.",
    What.WITHDRAWS: "Its key object note rejects {}; the first is image {}.",
    What.UNPACKED: "{} came out of this archive; the first is image {}.",
}

_TIMES = (
    select(instances.c.id, instances.c.arrived_at, work.c.finished_at)
    .join(work, work.c.instance_id == instances.c.id)
    .where(work.c.ordinal == 0, instances.c.id.in_(bindparam("images", expanding=True)))
)

_COPIES = (
    select(
        copies.c.original_id,
        copies.c.first_id,
        sources.c.name,
        senders.c.calling_ae,
        senders.c.address,
        instances.c.arrived_at,
    )
    .join(sources, sources.c.id == copies.c.source_id)
    .outerjoin(senders, senders.c.id == copies.c.sender_id)
    .outerjoin(instances, instances.c.id == copies.c.first_id)
    .where(copies.c.original_id.in_(bindparam("images", expanding=True)))
)
