"""Read what the report of a study needs of its series: a result per series and stack, with the slices as evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from db.bulk import execute_in_chunks
from db.series_tables import series, series_results
from db.tables import State, bundles, instances
from nightread.plain_text import is_uid


class SpeakingImage(NamedTuple):
    """An image that is evidence for the result of its series."""

    sop_instance_uid: str
    sop_class_uid: str
    frames: tuple[int, ...]
    """Numbers, from 1, of the frames that are evidence; empty for an image of one frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedSeries:
    """The stack of a series that a result is about."""

    series_id: int
    stack: int
    slices: int
    """Slices with a score."""
    of_slices: int
    partial: bool
    images: tuple[SpeakingImage, ...]
    """The images that are evidence for the label, the strongest first."""


class SeriesRow(NamedTuple):
    """The result of one stack, and the image that is the strongest evidence for it."""

    row: Row[Any]
    """A row of _RESULTS, with the columns of its bundle."""
    strongest: Row[Any]
    """A row of _IMAGES."""
    strongest_frame: int | None
    """The number of the frame that is the strongest evidence, from 1; None if the image has only one frame."""
    reported: ReportedSeries


def series_rows(connection: Connection, study_instance_uid: str) -> list[SeriesRow]:
    """Return the results of the series of a study, without shadow results and results whose UIDs are invalid."""
    rows: Sequence[Row[Any]] = connection.execute(_RESULTS, {"study": study_instance_uid}).all()
    wanted = {row.places[place - 1][0] for row in rows for place in row.evidence}
    images = {row.id: row for row in execute_in_chunks(connection, _IMAGES, "images", wanted)}
    found = (_series_row(row, images) for row in rows)
    return [each for each in found if each is not None]


def series_without_result(connection: Connection, study_instance_uid: str) -> int:
    """Return the number of stacks and series of a study that have a reason instead of a result."""
    named = {"study": study_instance_uid}
    return sum(connection.execute(statement, named).scalar_one() for statement in (_WITHOUT, _FAILED))


def _series_row(row: Row[Any], images: Mapping[int, Row[Any]]) -> SeriesRow | None:
    speaking: dict[int, list[int]] = {}
    for place in row.evidence:
        image_id, frame, _ = row.places[place - 1]
        if image_id in images and _is_named(images[image_id]):
            speaking.setdefault(image_id, []).append(frame + 1)
    if not speaking:
        return None
    strongest, frames = next(iter(speaking.items()))
    many = (images[strongest].frames or 1) > 1
    return SeriesRow(
        row=row,
        strongest=images[strongest],
        strongest_frame=frames[0] if many else None,
        reported=ReportedSeries(
            series_id=row.series_id,
            stack=row.stack,
            slices=row.slices,
            of_slices=row.of_slices,
            partial=row.partial,
            images=tuple(_speaking_image(images[image_id], frames) for image_id, frames in speaking.items()),
        ),
    )


def _speaking_image(image: Row[Any], frames: Sequence[int]) -> SpeakingImage:
    many = (image.frames or 1) > 1
    return SpeakingImage(image.sop_instance_uid, image.sop_class_uid, tuple(sorted(frames)) if many else ())


def _is_named(image: Row[Any]) -> bool:
    uids = (image.sop_instance_uid, image.sop_class_uid, image.series_instance_uid)
    return all(uid and is_uid(uid) for uid in uids)


_RESULTS: Select[Any] = (
    select(
        series_results.c.series_id,
        series_results.c.stack,
        series_results.c.label,
        series_results.c.score,
        series_results.c.scores,
        series_results.c.slices,
        series_results.c.of_slices,
        series_results.c.partial,
        series_results.c.places,
        series_results.c.evidence,
        series_results.c.bundle_id,
        bundles.c.name,
        bundles.c.version,
        bundles.c.digest,
        bundles.c.normal_label,
        bundles.c.labels,
        bundles.c.codes,
    )
    .join(series, series.c.id == series_results.c.series_id)
    .join(bundles, bundles.c.id == series_results.c.bundle_id)
    .where(
        series.c.study_instance_uid == bindparam("study"),
        series_results.c.state == State.DONE.value,
        ~series_results.c.shadow,
    )
    .order_by(series_results.c.series_id, series_results.c.bundle_id, series_results.c.stack)
)
_IMAGES: Select[Any] = select(
    instances.c.id,
    instances.c.sop_instance_uid,
    instances.c.sop_class_uid,
    instances.c.series_instance_uid,
    instances.c.modality,
    instances.c.frames,
).where(instances.c.id.in_(bindparam("images", expanding=True)))
_WITHOUT = (
    select(func.count())
    .select_from(series_results)
    .join(series, series.c.id == series_results.c.series_id)
    .where(
        series.c.study_instance_uid == bindparam("study"),
        series_results.c.state != State.DONE.value,
        ~series_results.c.shadow,
    )
)
_FAILED = (
    select(func.count())
    .select_from(series.outerjoin(series_results, series_results.c.series_id == series.c.id))
    .where(
        series.c.study_instance_uid == bindparam("study"),
        series.c.reason.is_not(None),
        series_results.c.id.is_(None),
    )
)
