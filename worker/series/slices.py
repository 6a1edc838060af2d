"""Choose the slices of a series that count for one bundle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from db.queries import AnalysedSlice, SeriesSlices
from db.tables import UNFINISHED, State
from imaging.series.slice_geometry import SliceGeometry
from imaging.stored_geometry import stored_slices
from models.postprocessing import Postprocessing
from nightread.reasons import Fault, Reason

SliceKey = tuple[int, int]
"""The id of an image, and the index of one of its frames, from 0."""
_DEFECTIVE = frozenset(reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE)


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedSlices:
    """The slices of one series that count for one bundle."""

    geometries: list[SliceGeometry]
    """Geometries of all slices that have a result, are bad, or are unfinished."""
    scores: Mapping[SliceKey, list[float]]
    bad: frozenset[int]
    """Ids of images that failed or are defective."""
    unfinished: frozenset[int]
    """Ids of images without an outcome."""
    in_conflict: int
    """Number of images that are left out, because another version of the image is current too."""
    sources: int
    shadow: bool


def counted_slices(slices: SeriesSlices, bundle_id: int, postprocessing: Postprocessing) -> CountedSlices:
    """Return the slices that count for the bundle.

    If one image (SOP Instance UID) has several current versions, the version with the highest suspicion counts.
    """
    done = {row.image_id: row for row in slices.rows if row.bundle_id == bundle_id and row.state == State.DONE}
    first = {row.image_id: row for row in slices.rows if row.ordinal == 0}
    bad = {row.image_id for row in slices.rows if _counts(row, bundle_id) and is_bad(row)} - done.keys()
    unfinished = {row.image_id for row in slices.rows if _counts(row, bundle_id) and row.state in UNFINISHED}
    scores = {image_id: dict(_scores(row, slices)) for image_id, row in done.items()}
    left_out = _less_suspicious(done, scores, postprocessing)
    counted = [row for row in first.values() if row.image_id in scores.keys() | bad | unfinished]
    return CountedSlices(
        geometries=[piece for row in counted if row.image_id not in left_out for piece in _geometries(row)],
        scores={
            (image_id, frame): values
            for image_id, frames in scores.items()
            if image_id not in left_out
            for frame, values in frames.items()
        },
        bad=frozenset(bad),
        unfinished=frozenset(unfinished),
        in_conflict=len(left_out),
        sources=len({row.source_id for row in counted}),
        shadow=all(row.shadow for row in done.values()),
    )


def is_bad(row: AnalysedSlice) -> bool:
    """Return whether the image failed or is defective."""
    return row.state == State.FAILED or (row.state == State.REJECTED and row.reason in _DEFECTIVE)


def _counts(row: AnalysedSlice, bundle_id: int) -> bool:
    return not row.ordinal or row.bundle_id == bundle_id


def _scores(row: AnalysedSlice, slices: SeriesSlices) -> Iterator[tuple[int, list[float]]]:
    if row.work_id in slices.frame_scores:
        yield from slices.frame_scores[row.work_id].items()
    elif row.scores:
        yield 0, row.scores


def _less_suspicious(
    done: Mapping[int, AnalysedSlice], scores: Mapping[int, Mapping[int, list[float]]], postprocessing: Postprocessing
) -> frozenset[int]:
    """Return the images to leave out, because another version of the same image is more suspicious."""
    versions: dict[str, list[int]] = {}
    for image_id, row in done.items():
        if row.sop_instance_uid is not None:
            versions.setdefault(row.sop_instance_uid, []).append(image_id)
    several = [ids for ids in versions.values() if len(ids) > 1]
    chosen = {max(ids, key=lambda image_id: _suspicion(scores[image_id], postprocessing)) for ids in several}
    return frozenset(image_id for ids in several for image_id in ids) - chosen


def _suspicion(frames: Mapping[int, list[float]], postprocessing: Postprocessing) -> float:
    if not frames:
        return -1.0
    scores: Any = np.array(list(frames.values()), np.float32)
    suspicion = postprocessing.suspicion(scores)
    return float(scores.max() if suspicion is None else suspicion.max())


def _geometries(row: AnalysedSlice) -> Iterator[SliceGeometry]:
    known = {"key": row.image_id, "sop_instance_uid": row.sop_instance_uid}
    if row.geometry is None:
        yield SliceGeometry(**known)  # type: ignore[arg-type]
        return
    yield from stored_slices(
        row.geometry, key=row.image_id, sop_instance_uid=row.sop_instance_uid, rows=row.rows, columns=row.columns
    )
