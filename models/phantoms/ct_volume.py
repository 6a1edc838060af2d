"""Draw synthetic CT of a chest with known truth from a seed.

A nodule is a ball, and a vessel is a rod through the slices. In one slice, both are the same round spot; only the
neighbouring slices show that the nodule ends.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Heights = NDArray[np.float64]

FIELD_OF_VIEW_MM = 192.0
SPACING_MM = 5.0
AIR, LUNG, TISSUE, BONE = -1000.0, -850.0, 40.0, 500.0
"""Values of the drawn materials, in Hounsfield units."""

_LUNG_CENTRES_MM = (-42.0, 42.0)
_LUNG_RADII_MM = (33.0, 56.0)
_SPOT_MM = (3.5, 7.5)
"""Smallest and largest radius of the spot that a vessel or a visible nodule makes in a slice."""
_NODULE_MM = (5.5, 7.5)
"""Smallest and largest radius of a nodule. It does not reach slices that are 10 mm (two slices) from its centre."""
_VISIBLE_MM = 3.5
"""A nodule counts as visible in a slice where it has at least this radius."""
_SHORTEST_VESSEL_MM = 45.0
_SOFT_MM = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CtNodule:
    """A ball of soft tissue inside a lung, in mm. The middle of a slice is x = y = 0, and the first slice is z = 0."""

    x: float
    y: float
    z: float
    radius: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CtVolume:
    """One drawn chest and its truth."""

    values: Volume
    """(slices, size, size) in Hounsfield units, from foot to head."""
    nodules: tuple[CtNodule, ...]

    @property
    def has_nodule(self) -> NDArray[np.bool_]:
        """Return for each slice whether a nodule is visible in it, (slices,)."""
        heights = slice_heights(len(self.values))
        found = np.zeros(len(heights), bool)
        for nodule in self.nodules:
            found |= _radius_at(nodule, heights) >= _VISIBLE_MM
        return found


def draw_ct(*, seed: int, index: int, slices: int = 24, size: int = 64, nodule_share: float = 0.5) -> CtVolume:
    """Draw chest number `index` of the series `seed`: the same arguments give the same values.

    About `nodule_share` of the chests have one or two nodules. Every chest has vessels, some of which begin or end
    within the volume, so that neither the number of spots in a slice nor their size or brightness reveals a nodule.
    """
    rng = np.random.default_rng([seed, index, 7])
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(FIELD_OF_VIEW_MM / size) - np.float32(
        FIELD_OF_VIEW_MM / 2
    )
    heights = slice_heights(slices)
    nodules = _nodules(rng, slices, nodule_share)
    spots = np.zeros((slices, size, size), np.float32)
    for _ in range(rng.integers(9, 15)):
        _add_vessel(rng, spots, axis, heights)
    for nodule in nodules:
        _add_discs(spots, axis, np.full(slices, nodule.x), np.full(slices, nodule.y), _radius_at(nodule, heights))
    x, y = axis[None, :], axis[:, None]
    values = _anatomy(rng, x, y) + np.float32(TISSUE - LUNG) * spots * _lungs(x, y)
    values += np.float32(rng.uniform(20, 50)) * rng.standard_normal(values.shape, dtype=np.float32)
    return CtVolume(values=np.clip(values, -1024, 3071), nodules=nodules)


def slice_heights(slices: int) -> Heights:
    """Return the height of each slice in mm, (slices,): the lowest is at 0."""
    return np.asarray(SPACING_MM * np.arange(slices), np.float64)


def _nodules(rng: np.random.Generator, slices: int, share: float) -> tuple[CtNodule, ...]:
    count = int(rng.integers(1, 3)) if rng.random() < share else 0
    return tuple(
        CtNodule(x=x, y=y, z=float(rng.uniform(15, SPACING_MM * slices - 20)), radius=float(rng.uniform(*_NODULE_MM)))
        for x, y in (_inside_lung(rng) for _ in range(count))
    )


def _radius_at(nodule: CtNodule, heights: Heights) -> Heights:
    """Return the radius of the ball in the slices at these heights, 0 beyond its ends."""
    return np.asarray(np.sqrt(np.maximum(nodule.radius**2 - np.square(heights - nodule.z), 0)))


def _add_vessel(rng: np.random.Generator, spots: Volume, axis: Volume, heights: Heights) -> None:
    """Add a rod that is a little oblique; a third of the vessels begin or end within the volume."""
    across, down = _inside_lung(rng)
    lean_x, lean_y = rng.uniform(-0.12, 0.12, 2)
    middle, top = heights - heights[-1] / 2, float(heights[-1])
    radii = np.full(len(heights), rng.uniform(*_SPOT_MM))
    if not rng.integers(3):
        end = rng.uniform(_SHORTEST_VESSEL_MM, max(top - _SHORTEST_VESSEL_MM, _SHORTEST_VESSEL_MM + 1))
        radii[heights > end if rng.integers(2) else heights < end] = 0
    _add_discs(spots, axis, across + lean_x * middle, down + lean_y * middle, radii)


def _add_discs(spots: Volume, axis: Volume, x: Heights, y: Heights, radii: Heights) -> None:
    """Add a disc with a soft edge to each slice; none if its radius is 0. Only pixels around the discs are computed."""
    margin = float(radii.max(initial=0)) + _SOFT_MM
    columns = slice(*np.searchsorted(axis, (x.min() - margin, x.max() + margin)))
    rows = slice(*np.searchsorted(axis, (y.min() - margin, y.max() + margin)))
    across, down = axis[columns][None, None, :] - x[:, None, None], axis[rows][None, :, None] - y[:, None, None]
    shown = np.clip((radii[:, None, None] - np.hypot(across, down)) / _SOFT_MM + 0.5, 0, 1) * (radii > 0)[:, None, None]
    place = spots[:, rows, columns]
    np.maximum(place, shown, out=place, casting="same_kind")


def _inside_lung(rng: np.random.Generator) -> tuple[float, float]:
    """Choose a point in either lung, far enough from its wall for a spot."""
    angle, distance = rng.uniform(0, 2 * np.pi), 0.75 * np.sqrt(rng.random())
    centre = _LUNG_CENTRES_MM[int(rng.integers(2))]
    return centre + float(np.cos(angle) * distance * _LUNG_RADII_MM[0]), float(
        np.sin(angle) * distance * _LUNG_RADII_MM[1]
    )


def _lungs(x: Volume, y: Volume) -> Volume:
    """Return 1 inside the lungs, 0 outside, (size, size)."""
    return np.maximum(*(_ellipse(x - np.float32(centre), y, _LUNG_RADII_MM) for centre in _LUNG_CENTRES_MM))


def _anatomy(rng: np.random.Generator, x: Volume, y: Volume) -> Volume:
    """Draw body, lungs, spine and ribs without spots, (size, size)."""
    body, spine = _ellipse(x, y, (92.0, 72.0)), _ellipse(x, y - np.float32(60), (11.0, 10.0))
    ribs = _ellipse(x, y, (86.0, 67.0)) - _ellipse(x, y, (82.0, 63.0))
    turns = np.cos(np.arctan2(y, x) * np.float32(9) + np.float32(rng.uniform(0, 6)))
    values = AIR + np.float32(TISSUE - AIR) * body + np.float32(LUNG - TISSUE) * _lungs(x, y)
    values += np.float32(BONE - TISSUE) * np.maximum(spine, ribs * (turns > 0))
    drawn: Volume = values.astype(np.float32)
    return drawn


def _ellipse(x: Volume, y: Volume, radii: tuple[float, float]) -> Volume:
    share = np.sqrt(np.square(x / np.float32(radii[0])) + np.square(y / np.float32(radii[1])))
    inside: Volume = np.clip((1 - share) * np.float32(min(radii) / _SOFT_MM) + np.float32(0.5), 0, 1)
    return inside
