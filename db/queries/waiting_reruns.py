"""Count the images that wait for a re-run, by re-run and by model."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.queries.reruns import UNFINISHED_RERUNS
from db.queries.snapshot import snapshot, stream
from db.tables import audit, bundles, work


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingRerun:
    """The images of a re-run that have no outcome yet from one of its models."""

    number: int | None
    """The id of the first entry of the audit table about the re-run; None if no entry names these images."""
    model: str
    """`NAME@VERSION`."""
    waiting: int
    """Images that wait for this model, or are in batches for it."""
    images: int | None
    """All images of the re-run that this model analyses or has analysed; None if `number` is None."""
    ordered_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """One re-run, read from its entries in the audit table; each entry names up to 1,000 images."""

    number: int
    at: datetime
    images: frozenset[int]
    bundle_ids: frozenset[int]


def waiting_reruns(database: Database) -> list[WaitingRerun]:
    """Return the re-runs with images that wait, the latest first.

    An image belongs to the latest re-run that includes it. If no image waits, this reads only two partial indexes, and
    no rows of waiting arrivals. Otherwise it also reads the audit table back to the oldest of these re-runs: 0.1 s for
    20,000 images.
    """
    with snapshot(database) as connection:
        waiting = _waiting(connection)
        if not waiting:
            return []
        names = {row.id: f"{row.name}@{row.version}" for row in connection.execute(_NAMES)}
        found = list(_of_orders(connection, waiting, names))
    return found + [
        WaitingRerun(number=None, model=names.get(each, "unknown"), waiting=len(images), images=None, ordered_at=None)
        for each, images in sorted(waiting.items())
        if images
    ]


def _of_orders(
    connection: Connection, waiting: Mapping[int, set[int]], names: Mapping[int, str]
) -> Iterator[WaitingRerun]:
    """Yield the re-runs to which the images belong, and take these images out of `waiting`."""
    for order in _orders(connection):
        for bundle_id in sorted(order.bundle_ids & waiting.keys()):
            images = waiting[bundle_id] & order.images
            waiting[bundle_id].difference_update(images)
            if images:
                yield WaitingRerun(
                    number=order.number,
                    model=names.get(bundle_id, "unknown"),
                    waiting=len(images),
                    images=_images(connection, order, bundle_id),
                    ordered_at=order.at,
                )
        if not any(waiting.values()):
            return


def _waiting(connection: Connection) -> dict[int, set[int]]:
    """Return the waiting images by bundle."""
    images: defaultdict[int, set[int]] = defaultdict(set)
    for condition in UNFINISHED_RERUNS:
        for row in connection.execute(select(work.c.bundle_id, work.c.instance_id).where(condition)):
            images[row.bundle_id].add(row.instance_id)
    return dict(images)


def _orders(connection: Connection) -> Iterator[_Order]:
    """Yield the re-runs, the latest first. The entries of one re-run have the same time, person and bundles."""
    for _, group in groupby(stream(connection, _ENTRIES), key=_of_order):
        entries = list(group)
        yield _Order(
            number=entries[-1].id,
            at=entries[-1].at,
            images=frozenset(image_id for entry in entries for image_id in entry.detail["images"]),
            bundle_ids=frozenset(entries[-1].detail["bundles"]),
        )


def _of_order(entry: Row[Any]) -> tuple[Any, ...]:
    return entry.at, entry.actor, *entry.detail["bundles"]


def _images(connection: Connection, order: _Order, bundle_id: int) -> int:
    """Return how many images of the re-run have a further row of this bundle."""
    counts = execute_in_chunks(connection, _FURTHER, "images", sorted(order.images), bundle=bundle_id)
    return sum(row.images for row in counts)


_ENTRIES = select(audit).where(audit.c.action == "images.rerun").order_by(audit.c.id.desc())
_NAMES = select(bundles.c.id, bundles.c.name, bundles.c.version)
_FURTHER = select(func.count().label("images")).where(
    work.c.instance_id.in_(bindparam("images", expanding=True)),
    work.c.bundle_id == bindparam("bundle"),
    work.c.ordinal > 0,
)
