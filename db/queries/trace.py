"""List everything that the database keeps about what happened to images, in chronological order."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.queries.audit_entries import EntryScope, entries_about
from db.queries.images import place
from db.queries.snapshot import snapshot
from db.queries.trace_events import (
    Event,
    analysis_events,
    arrival_events,
    delivery_events,
    further_events,
    not_kept,
    purge_events,
)
from db.queries.trace_relations import relations
from db.store_tables import deliveries, senders
from db.tables import batches, bundles, instances, sources, work
from nightread.content_digest import named_content, sha256_in

_IMAGES_AT_ONCE = 500
_ALL_ENTRIES = EntryScope()
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTrace:
    """Everything that happened to one arrival."""

    image_id: int
    source: str
    uri: str | None
    """Full path or URL; None if the image was purged."""
    member_name: str | None
    """Name inside the archive from which the image was unpacked."""
    state: str
    reason: str | None
    study_instance_uid: str | None
    sop_instance_uid: str | None
    content: str | None
    """Identity of the image's bytes (nightread.content_digest.named_content)."""
    sha256: str | None
    """SHA-256 of the bytes, if an earlier release analysed them."""
    events: tuple[Event, ...]
    """The events in chronological order. Events without a time come last."""
    not_kept: tuple[str, ...]
    """Sentences that say which events the database does not keep."""


def trace(database: Database, image_ids: Sequence[int], entries: EntryScope = _ALL_ENTRIES) -> list[ImageTrace]:
    """Return the traces of these images, in the order of `image_ids`; unknown ids are left out.

    A few images take some milliseconds, plus the time to search the audit table. This search reads the entries in the
    scope `entries` that are newer than the oldest of the images.
    """
    wanted = list(dict.fromkeys(image_ids))
    with snapshot(database) as connection:
        return [
            found
            for start in range(0, len(wanted), _IMAGES_AT_ONCE)
            for found in _trace(connection, wanted[start : start + _IMAGES_AT_ONCE], entries)
        ]


def _trace(connection: Connection, image_ids: Sequence[int], entries: EntryScope) -> Iterator[ImageTrace]:
    arrivals = {row.id: row for row in connection.execute(_ARRIVALS, {"images": image_ids})}
    if not arrivals:
        return
    rows_of_work = _by(connection.execute(_WORK, {"images": list(arrivals)}), "instance_id")
    events = _events(connection, arrivals, rows_of_work, entries)
    for image_id in image_ids:
        if image_id in arrivals:
            yield _as_trace(arrivals[image_id], rows_of_work[image_id][0], events[image_id])


def _as_trace(arrival: Row[Any], first: Row[Any], events: Iterable[Event]) -> ImageTrace:
    return ImageTrace(
        image_id=arrival.id,
        source=arrival.source,
        uri=place(arrival) if arrival.purged_at is None else None,
        member_name=arrival.member_name,
        state=first.state,
        reason=first.reason,
        study_instance_uid=arrival.study_instance_uid,
        sop_instance_uid=arrival.sop_instance_uid,
        content=named_content(arrival.content),
        sha256=sha256_in(arrival.content),
        events=tuple(_in_order(events)),
        not_kept=tuple(not_kept(first)),
    )


def _events(
    connection: Connection,
    arrivals: dict[int, Row[Any]],
    rows_of_work: dict[int, list[Row[Any]]],
    entries: EntryScope,
) -> dict[int, list[Event]]:
    """Return the events of each image, which are not sorted yet."""
    events: dict[int, list[Event]] = {}
    for image_id, arrival in arrivals.items():
        first, *others = rows_of_work[image_id]
        further = [event for row in others for event in further_events(row)]
        events[image_id] = [*arrival_events(arrival), *analysis_events(first), *further]
    for image_id, event in relations(connection, arrivals, rows_of_work):
        events[image_id].append(event)
    for image_id, event in _deliveries(connection, arrivals):
        events[image_id].append(event)
    for image_id, arrival in arrivals.items():
        events[image_id] += purge_events(arrival)
    for image_id, event in entries_about(connection, arrivals, entries):
        events[image_id].append(event)
    return events


def _deliveries(connection: Connection, arrivals: dict[int, Row[Any]]) -> Iterator[tuple[int, Event]]:
    of_study = _by(arrivals.values(), "study_instance_uid")
    of_study.pop(None, None)
    revisions: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in execute_in_chunks(connection, _DELIVERIES, "studies", of_study):
        revisions[row.study_instance_uid, row.destination] += 1
        revision = revisions[row.study_instance_uid, row.destination]
        for event in delivery_events(row, revision):
            for arrival in of_study[row.study_instance_uid]:
                yield arrival.id, event


def _in_order(events: Iterable[Event]) -> list[Event]:
    """Sort by time. An event without a time comes last, because it describes the present."""
    timed = [event for event in events if event.at is not None]
    return [*sorted(timed, key=lambda event: event.at or _EARLIEST), *(e for e in events if e.at is None)]


def _by(rows: Iterable[Row[Any]], name: str) -> defaultdict[Any, list[Row[Any]]]:
    grouped: defaultdict[Any, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        grouped[getattr(row, name)].append(row)
    return grouped


_ARRIVALS = (
    select(instances, sources.c.name.label("source"), sources.c.kind, sources.c.root, senders.c.calling_ae)
    .add_columns(senders.c.address)
    .join(sources, sources.c.id == instances.c.source_id)
    .outerjoin(senders, senders.c.id == instances.c.sender_id)
    .where(instances.c.id.in_(bindparam("images", expanding=True)))
)

_WORK = (
    select(
        work,
        bundles.c.name.label("model"),
        bundles.c.version.label("model_version"),
        bundles.c.digest,
        batches.c.images,
        batches.c.created_at,
        batches.c.claimed_at,
        batches.c.node,
        batches.c.boot_id,
        batches.c.process_index,
        batches.c.release,
        batches.c.runtime,
        batches.c.seconds,
    )
    .outerjoin(bundles, bundles.c.id == work.c.bundle_id)
    .outerjoin(batches, batches.c.id == work.c.batch_id)
    .where(work.c.instance_id.in_(bindparam("images", expanding=True)))
    .order_by(work.c.instance_id, work.c.ordinal)
)

_DELIVERIES = (
    select(deliveries)
    .where(deliveries.c.study_instance_uid.in_(bindparam("studies", expanding=True)))
    .order_by(deliveries.c.id)
)
