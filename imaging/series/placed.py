"""Compute the positions of slices along the normal of their common orientation."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from imaging.series.rules import AXIAL, CORONAL, OBLIQUE, SAGITTAL
from imaging.series.slice_geometry import Orientation, SliceGeometry

Vectors = NDArray[np.float64]

SAME_POSITION_MM = 0.01
"""Slices that are closer count as being at one position. The thinnest slices of patients are ten times as far apart."""
_SAME_DIRECTION = float(np.cos(np.radians(1)))
_OBLIQUE = float(np.cos(np.radians(40)))
_SHORTEST = 0.5
"""The direction vectors of rows and columns must be longer than this; correct vectors have length 1."""
_MOST_PARALLEL = 0.5
_AXES = (SAGITTAL, CORONAL, AXIAL)
"""Orientations by the axis of LPS (x, y, z) that is nearest to the normal."""


def has_geometry(piece: SliceGeometry) -> bool:
    """Return whether a slice has a position and a usable orientation.

    In a usable orientation, rows and columns have clearly different directions.
    """
    return piece.position is not None and piece.orientation is not None and _has_plane(piece.orientation)


@lru_cache(maxsize=256)
def _has_plane(orientation: Orientation) -> bool:
    """Return whether rows and columns have clearly different directions.

    The results are cached, because the slices of a series have few different orientations.
    """
    rows, columns = orientation[:3], orientation[3:]
    lengths = math.hypot(*rows), math.hypot(*columns)
    parallel = abs(math.fsum(row * column for row, column in zip(rows, columns, strict=True)))
    return min(lengths) > _SHORTEST and parallel < _MOST_PARALLEL * lengths[0] * lengths[1]


def by_orientation(slices: Sequence[SliceGeometry]) -> list[list[SliceGeometry]]:
    """Return groups of slices whose rows and columns differ in direction by less than one degree."""
    if not slices:
        return []
    directions = np.array([piece.orientation for piece in slices], np.float64).reshape(-1, 2, 3)
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    left, groups = np.arange(len(slices)), []
    while len(left):
        cosines = np.einsum("nij,ij->ni", directions[left], directions[left[0]])
        same = cosines.min(axis=1) >= _SAME_DIRECTION
        groups.append([slices[index] for index in left[same]])
        left = left[~same]
    return groups


def normal_of(slices: Sequence[SliceGeometry]) -> Vectors:
    """Return the mean unit normal (3,), with a positive largest component: it points to the head, back or left."""
    directions = np.array([piece.orientation for piece in slices], np.float64)
    normal = np.cross(directions[:, :3], directions[:, 3:]).mean(axis=0)
    normal /= np.linalg.norm(normal)
    return np.asarray(normal * np.sign(normal[np.abs(normal).argmax()]))


def positions_along(normal: Vectors, slices: Sequence[SliceGeometry]) -> Vectors:
    """Return the position of each slice along the normal in mm (n,)."""
    return np.asarray(np.array([piece.position for piece in slices], np.float64) @ normal)


def orientation_name(normal: Vectors) -> str:
    """Return `axial`, `coronal` or `sagittal` by the nearest axis, or `oblique` if none is within 40 degrees."""
    axis = int(np.abs(normal).argmax())
    return _AXES[axis] if abs(float(normal[axis])) >= _OBLIQUE else OBLIQUE


def have_collisions(positions: Vectors) -> bool:
    """Return whether two of the positions are the same."""
    return bool((np.diff(np.sort(positions)) < SAME_POSITION_MM).any())
