"""Compare the intensities of prepared inputs with those of the training images."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from nightread.drift.levels import PERCENTILES

Inputs = NDArray[np.float32]

NEAR, FAR = 0.01, 0.1
"""Distances from the range, in shares of the span from black to white.

An image that is further from the range than NEAR is near the edge of the domain; an image further than FAR is outside.

docs/decisions/0017-domain-of-a-bundle.md has the measurements.
"""
FOREIGN_INTENSITIES = (
    "The model was not made for this image: its intensities are far from those of the training images. Check its "
    "window and its lookup tables."
)
_GRID = 12
"""Percentiles are taken from a grid of at most 12 x 12 pixels. This takes 2 us per image; all pixels take 150 us."""


@dataclass(frozen=True, kw_only=True)
class InputRange:
    """The lowest and the highest value of each percentile among the training images, in units of the input."""

    percentiles: tuple[int, ...] = PERCENTILES
    low: tuple[float, ...]
    high: tuple[float, ...]
    images: int
    """How many frames were measured."""

    def __post_init__(self) -> None:
        """Raise ValueError for lists of different lengths, and for a range whose ends are reversed."""
        if not len(self.percentiles) == len(self.low) == len(self.high) > 0:
            raise ValueError("intensities need one low and one high value per percentile")
        if not all(0 <= percentile <= 100 for percentile in self.percentiles):  # noqa: PLR2004
            raise ValueError("percentiles of intensities must be between 0 and 100")
        if not all(map(math.isfinite, (*self.low, *self.high))):
            raise ValueError("a value of intensities is not finite")
        if not all(low <= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a low value of intensities is higher than its high value")

    @classmethod
    def measure(cls, chunks: Iterable[Inputs]) -> Self:
        """Measure prepared inputs of training images, in chunks (n, height, width, channels)."""
        found = np.concatenate([percentiles(inputs, PERCENTILES) for inputs in chunks])
        return cls(
            low=tuple(round(float(value), 4) for value in found.min(axis=0)),
            high=tuple(round(float(value), 4) for value in found.max(axis=0)),
            images=len(found),
        )

    def distances(self, inputs: Inputs, spec: InputSpec) -> NDArray[np.float64]:
        """Return (n,): how far each input lies outside of the range, as a share of the span from black to white.

        The distance is the mean over all percentiles, because a single percentile jumps in images of only two grey
        values.
        """
        return self.distances_of(percentiles(inputs, self.percentiles), spec)

    def distances_of(self, found: Inputs, spec: InputSpec) -> NDArray[np.float64]:
        """Return the same as `distances` from the percentiles of the inputs, (n, percentiles)."""
        outside = np.maximum(np.subtract(self.low, found), found - self.high)
        distances: NDArray[np.float64] = np.maximum(outside, 0).mean(axis=1) / _span(spec)
        return distances

    def to_json(self) -> dict[str, Any]:
        """Return plain values for bundle.json."""
        return {
            "percentiles": list(self.percentiles),
            "low": list(self.low),
            "high": list(self.high),
            "images": self.images,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read the values that `to_json` returned. Raises KeyError, TypeError and ValueError for other values."""
        if not isinstance(values, dict):
            raise TypeError("intensities must be a JSON object")
        unknown = values.keys() - {"percentiles", "low", "high", "images"}
        if unknown:
            raise ValueError(f"intensities have unknown fields: {', '.join(sorted(unknown))}")
        return cls(
            percentiles=tuple(int(value) for value in values["percentiles"]),
            low=tuple(float(value) for value in values["low"]),
            high=tuple(float(value) for value in values["high"]),
            images=int(values["images"]),
        )


def middle_distance(outside: Sequence[float], frames: int) -> float:
    """Return the median of the distances from the range, over all `frames` frames of an image.

    `outside` has the distances of the frames that are outside of the range; the other distances are 0. The median is
    above 0 only if more than half of the frames are outside: a dark frame at the start of a cine has no effect.
    """
    return sorted([*outside, *[0.0] * (frames - len(outside))])[(frames - 1) // 2]


def percentiles(inputs: Inputs, wanted: tuple[int, ...]) -> Inputs:
    """Return (n, percentiles) of inputs (n, height, width, channels), from a regular grid of their pixels."""
    count, height, width, channels = inputs.shape
    row_step, column_step = -(-height // _GRID), -(-width // _GRID)
    grid = inputs[:, row_step // 2 :: row_step, column_step // 2 :: column_step]
    values = np.sort(grid.reshape(count, -1) if channels == 1 else _grey(grid), axis=1)
    places = [round((values.shape[1] - 1) * percentile / 100) for percentile in wanted]
    return values[:, places]


def _grey(grid: Inputs) -> Inputs:
    """Return the mean of the channels, so that the order of channels does not matter."""
    means: Inputs = grid.mean(axis=-1).reshape(len(grid), -1)
    return means


@lru_cache
def _span(spec: InputSpec) -> float:
    """Return the difference between a white and a black input, as the mean of the channels."""
    return abs(spec.scale_high - spec.scale_low) / float(np.mean(np.abs(spec.std or (1.0,)))) or 1.0
