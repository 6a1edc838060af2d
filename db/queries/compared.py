"""Read the results that two bundles have for the same images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.tables import State, instances, work


@dataclass(frozen=True, kw_only=True, slots=True)
class OneResult:
    """The result of one bundle for an image."""

    label: str | None
    score: float | None
    scores: tuple[float, ...]
    """Scores in the order of the bundle's labels."""
    suspicion: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedImage:
    """An image with the results of two bundles, and the strata to which it belongs."""

    image_id: int
    patient_key: str | None
    modality: str | None
    device: str | None
    """Manufacturer and station name, as far as the header has them."""
    view: str | None
    first: OneResult
    second: OneResult


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedImages:
    """The images that both bundles analysed, and how many images only one of them analysed."""

    images: tuple[ComparedImage, ...]
    only_first: int
    only_second: int


def compared_images(database: Database, image_ids: Sequence[int], first_id: int, second_id: int) -> ComparedImages:
    """Return the results of two bundles, in any role; of several results for an image, the newest counts."""
    results: dict[int, dict[int, OneResult]] = {first_id: {}, second_id: {}}
    with database.read() as connection:
        for row in execute_in_chunks(connection, _RESULTS, "images", image_ids, wanted=[first_id, second_id]):
            results[row.bundle_id][row.instance_id] = OneResult(
                label=row.label, score=row.score, scores=tuple(row.scores or ()), suspicion=row.suspicion
            )
        first, second = results[first_id], results[second_id]
        both = sorted(first.keys() & second.keys())
        rows = list(execute_in_chunks(connection, _STRATA, "images", both))
    images = tuple(_compared(row, first[row.id], second[row.id]) for row in rows)
    return ComparedImages(images=images, only_first=len(first) - len(both), only_second=len(second) - len(both))


def results_of_bundles(database: Database, image_ids: Sequence[int], bundle_ids: Sequence[int]) -> dict[int, int]:
    """Return how many results each of these bundles has for these images; bundles without any are left out.

    It reads only the rows of these images.
    """
    counts: Counter[int] = Counter()
    with database.read() as connection:
        for row in execute_in_chunks(connection, _COUNTS, "images", image_ids, wanted=list(bundle_ids)):
            counts[row.bundle_id] += row.images
    return dict(counts)


def _compared(row: Any, first: OneResult, second: OneResult) -> ComparedImage:
    device = " ".join(filter(None, (row.manufacturer, row.station_name)))
    return ComparedImage(
        image_id=row.id,
        patient_key=row.patient_key,
        modality=row.modality,
        device=device or None,
        view=row.view_position,
        first=first,
        second=second,
    )


_RESULTS: Select[Any] = (
    select(work.c.instance_id, work.c.bundle_id, work.c.label, work.c.score, work.c.scores, work.c.suspicion)
    .where(
        work.c.instance_id.in_(bindparam("images", expanding=True)),
        work.c.bundle_id.in_(bindparam("wanted", expanding=True)),
        work.c.state == State.DONE.value,
    )
    .order_by(work.c.instance_id, work.c.ordinal)
)
_COUNTS: Select[Any] = (
    select(work.c.bundle_id, func.count().label("images"))
    .where(
        work.c.instance_id.in_(bindparam("images", expanding=True)),
        work.c.bundle_id.in_(bindparam("wanted", expanding=True)),
        work.c.state == State.DONE.value,
    )
    .group_by(work.c.bundle_id)
)
_STRATA: Select[Any] = (
    select(
        instances.c.id,
        instances.c.patient_key,
        instances.c.modality,
        instances.c.manufacturer,
        instances.c.station_name,
        instances.c.view_position,
    )
    .where(instances.c.id.in_(bindparam("images", expanding=True)))
    .order_by(instances.c.id)
)
