"""Map modality values to display values in [0, 1] (PS3.3 C.11.2)."""

from dataclasses import dataclass, field

import numpy as np

from imaging.array import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Ramp:
    """A linear ramp: 0 up to `low`, 1 from `high`. If both are equal, values above `low` map to 1."""

    low: float
    high: float

    @property
    def extent(self) -> tuple[float, float]:
        """Return the lowest and the highest value of the window; values outside of it are clipped."""
        return self.low, self.high

    def __call__(self, values: Array) -> Array:
        """Map floats of any shape to floats in [0, 1] of the same shape and type."""
        if self.low == self.high:
            return (values > self.low).astype(values.dtype)
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid:
    """The VOI LUT function SIGMOID (PS3.3 C.11.2.1.3.1)."""

    center: float
    width: float

    @property
    def extent(self) -> tuple[float, float]:
        """Return the ends of the window."""
        return self.center - self.width / 2, self.center + self.width / 2

    def __call__(self, values: Array) -> Array:
        """Map floats of any shape to floats in (0, 1) of the same shape and type."""
        exponent = np.clip(-4 * (values - self.center) / self.width, -80, 80)
        return 1 / (1 + np.exp(exponent))


@dataclass(frozen=True, kw_only=True, slots=True)
class Lut:
    """A modality or VOI lookup table (PS3.3 C.11.1.1, C.11.2.1.1); `entries` are little endian 16-bit words."""

    first: int
    bits: int
    """Number of bits of an output. Every entry fits into it."""
    entries: bytes
    note: str = field(default="", compare=False)
    """A fault in the table that does not prevent its use."""

    @property
    def extent(self) -> tuple[float, float]:
        """Return the first and the last mapped value."""
        return self.first, self.first + len(self.entries) // 2 - 1

    @property
    def top(self) -> int:
        """Return the largest output of `bits` bits."""
        return int((1 << self.bits) - 1)

    def outputs(self, values: Array) -> Array:
        """Return float64 entries for values of any shape, rounded to the nearest input.

        Values outside of the table get its first or last entry. NaN stays NaN.
        """
        table = np.frombuffer(self.entries, "<u2").astype(np.float64)
        index = np.clip(np.rint(values) - self.first, 0, len(table) - 1)
        outputs: Array = table[np.nan_to_num(index).astype(np.intp)]
        if values.dtype.kind == "f":
            outputs[np.isnan(index)] = np.nan
        return outputs

    def __call__(self, values: Array) -> Array:
        """Map floats of any shape to floats in [0, 1] of the same shape and type."""
        shown: Array = (self.outputs(values) / self.top).astype(values.dtype)
        return shown


Mapping = Ramp | Sigmoid | Lut


SMALLEST_WIDTH = 1e-20
"""Smallest accepted width of a window. No real window is narrower, and the inverse of 1e-39 exceeds float32."""


_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def plain_function(text: str | None) -> str:
    """Return a VOI LUT function as PS3.3 C.11.2.1.2 writes it; an unknown or absent one as an empty text."""
    words = (text or "LINEAR").upper().replace(" ", "_")
    return words if words in _FUNCTIONS else ""


def window(center: float, width: float, function: str | None) -> Mapping | None:
    """Return the mapping of a window; None for an invalid width. An unknown function counts as LINEAR.

    LINEAR counts integers, so its width is at least 1. A smaller width comes from a writer who uses small units, and
    who means the range from center - width / 2 to center + width / 2. This is LINEAR_EXACT.
    """
    if not width >= SMALLEST_WIDTH:
        return None
    function = plain_function(function)
    if function == "SIGMOID":
        return Sigmoid(center=center, width=width)
    if function == "LINEAR_EXACT" or width < 1:
        return Ramp(low=center - width / 2, high=center + width / 2)
    # PS3.3 C.11.2.1.2.1: LINEAR shifts the center by half a value, and the width counts values.
    return Ramp(low=center - 0.5 - (width - 1) / 2, high=center - 0.5 + (width - 1) / 2)
