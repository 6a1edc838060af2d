"""Read the slices of a series with what their analysis recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.queries.bundles import BundleLabels, bundles_by_id
from db.queries.snapshot import snapshot
from db.tables import UNFINISHED, State, instances, predictions, work


class AnalysedSlice(NamedTuple):
    """One row of work of one current image of a series. Its fields have the order of the columns of _SLICES."""

    image_id: int
    source_id: int
    sop_instance_uid: str | None
    rows: int | None
    columns: int | None
    frames: int | None
    geometry: str | None
    """The geometry of the slices, as imaging.stored_geometry wrote it."""
    patient_key: str | None
    conflict_with: int | None
    work_id: int
    ordinal: int
    state: str
    reason: str | None
    bundle_id: int | None
    scores: list[float] | None
    """Scores of the whole image."""
    shadow: bool
    is_current: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesSlices:
    """All that is recorded of the slices of one series."""

    rows: Sequence[AnalysedSlice]
    """The rows in the order of arrival. An image that several bundles analysed has several rows; duplicates are left
    out."""
    frame_scores: Mapping[int, Mapping[int, list[float]]]
    """For images of several frames: scores by work id and frame."""
    bundles: Mapping[int, BundleLabels]
    """The bundles of unit `series`, by id."""
    not_current: Sequence[AnalysedSlice] = ()
    """Slices without an outcome that were superseded or withdrawn."""


def series_slices(database: Database, *, study_instance_uid: str, series_instance_uid: str) -> SeriesSlices:
    """Return what is recorded of the slices of a series, without results of superseded and withdrawn images."""
    named = {"study": study_instance_uid, "series": series_instance_uid}
    with snapshot(database) as connection:
        found = [AnalysedSlice(*row) for row in connection.execute(_SLICES, named)]
        rows = [row for row in found if row.is_current]
        of_series = {number: bundle for number, bundle in bundles_by_id(connection).items() if bundle.of_series}
        many = [row.work_id for row in rows if (row.frames or 1) > 1 and row.bundle_id in of_series]
        frame_scores: dict[int, dict[int, list[float]]] = {}
        for row in execute_in_chunks(connection, _FRAMES, "works", many):
            frame_scores.setdefault(row.work_id, {})[row.frame] = row.scores
    not_current = [row for row in found if not row.is_current and row.state in UNFINISHED]
    return SeriesSlices(rows=rows, frame_scores=frame_scores, bundles=of_series, not_current=not_current)


_SLICES: Select[Any] = (
    select(
        instances.c.id,
        instances.c.source_id,
        instances.c.sop_instance_uid,
        instances.c.rows,
        instances.c.columns,
        instances.c.frames,
        instances.c.geometry,
        instances.c.patient_key,
        instances.c.conflict_with,
        work.c.id,
        work.c.ordinal,
        work.c.state,
        work.c.reason,
        work.c.bundle_id,
        work.c.scores,
        work.c.shadow,
        (instances.c.superseded_by.is_(None) & instances.c.withdrawn_by.is_(None)).label("is_current"),
    )
    .join(work, work.c.instance_id == instances.c.id)
    .where(
        instances.c.study_instance_uid == bindparam("study"),
        instances.c.series_instance_uid == bindparam("series"),
        work.c.state != State.DUPLICATE.value,
    )
    .order_by(instances.c.id, work.c.ordinal)
)
_FRAMES = select(predictions.c.work_id, predictions.c.frame, predictions.c.scores).where(
    predictions.c.work_id.in_(bindparam("works", expanding=True))
)
