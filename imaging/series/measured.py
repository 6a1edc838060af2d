"""Sort the slices of one stack by position and measure their distances."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from imaging.series.placed import Vectors, normal_of, orientation_name, positions_along
from imaging.series.rules import SeriesRefusal, SeriesRules, StackProperties
from imaging.series.series_order import SliceGap, SliceStack, StackFinding
from imaging.series.slice_geometry import SliceGeometry
from imaging.series.stacks import UnorderedStack

_GAP = 1.5
"""A distance of more than this many times the usual distance is a gap."""
_IRREGULAR = 0.1
"""A distance is irregular if it differs from every multiple of the usual distance by more than a tenth of the usual
distance."""
_ROUNDING_MM = 0.02
"""Tolerance in millimetres, because positions are written with few decimals."""
_TILT_DEGREES = 0.5
_ROUNDING_DIGITS = 3


def measured(stack: UnorderedStack, rules: SeriesRules) -> SliceStack:
    """Return the stack sorted by position, with its measurements and the refusal of the first rule that excludes it."""
    normal = normal_of(stack.slices)
    along = positions_along(normal, stack.slices)
    order = np.lexsort((np.array([piece.key for piece in stack.slices]), along))
    slices, positions = tuple(stack.slices[index] for index in order), along[order]
    distances = np.diff(positions)
    spacing = float(np.median(distances)) if len(distances) else 0.0
    gaps = () if stack.is_ambiguous else tuple(_gaps(distances, spacing))
    tilt = _tilt(normal, slices)
    sizes = tuple(size for size, _ in Counter((piece.rows, piece.columns) for piece in slices).most_common())
    properties = StackProperties(len(slices), _rounded(spacing), orientation_name(normal))
    return SliceStack(
        slices=slices,
        positions_mm=tuple(_rounded(value) for value in positions),
        orientation=properties.orientation,
        told_apart_by=stack.told_apart_by,
        spacing_mm=properties.spacing_mm,
        spacing_range_mm=(_rounded(distances.min()), _rounded(distances.max())) if len(distances) else (0.0, 0.0),
        tilt_degrees=round(tilt, 1),
        gaps=gaps,
        sizes=sizes,
        findings=tuple(_findings(slices, distances, spacing, gaps, tilt)),
        refusal=SeriesRefusal.AMBIGUOUS_SERIES if stack.is_ambiguous else rules.refusal(properties),
    )


def _rounded(value: float) -> float:
    return round(float(value), _ROUNDING_DIGITS)


def _gaps(distances: Vectors, spacing: float) -> Iterator[SliceGap]:
    for index in np.flatnonzero(distances > _GAP * spacing + _ROUNDING_MM):
        distance = float(distances[index])
        yield SliceGap(after=int(index), distance_mm=_rounded(distance), missing=max(round(distance / spacing) - 1, 1))


def _findings(
    slices: Sequence[SliceGeometry], distances: Vectors, spacing: float, gaps: Sequence[SliceGap], tilt: float
) -> Iterator[StackFinding]:
    if gaps:
        yield StackFinding.GAP
    if spacing and len(distances) and _largest_deviation(distances, spacing) > _IRREGULAR * spacing + _ROUNDING_MM:
        yield StackFinding.IRREGULAR_SPACING
    if len({(piece.rows, piece.columns) for piece in slices}) > 1:
        yield StackFinding.MIXED_SIZES
    if len({piece.pixel_spacing for piece in slices}) > 1:
        yield StackFinding.MIXED_PIXEL_SPACING
    if tilt > _TILT_DEGREES:
        yield StackFinding.GANTRY_TILT


def _largest_deviation(distances: Vectors, spacing: float) -> float:
    """Return the largest difference between a distance and the nearest multiple of the spacing, in mm."""
    multiples = np.maximum(np.rint(distances / spacing), 1)
    return float(np.abs(distances - multiples * spacing).max())


def _tilt(normal: Vectors, slices: Sequence[SliceGeometry]) -> float:
    """Return the angle in degrees between the normal and the line from the first slice to the last; 0 for one slice."""
    first, last = (np.array(piece.position, np.float64) for piece in (slices[0], slices[-1]))
    line = last - first
    length = float(np.linalg.norm(line))
    if not length:
        return 0.0
    return float(np.degrees(np.arccos(np.clip(abs(line @ normal) / length, 0, 1))))
