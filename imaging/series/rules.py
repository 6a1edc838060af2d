"""Define which stacks of slices a bundle accepts, and the reasons for which a stack is refused."""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

AXIAL, CORONAL, SAGITTAL, OBLIQUE, ANY = "axial", "coronal", "sagittal", "oblique", "any"
ORIENTATIONS = (AXIAL, CORONAL, SAGITTAL, ANY)


class SeriesRefusal(StrEnum):
    """Why a series, or one of its stacks, has no result."""

    AMBIGUOUS_SERIES = "ambiguous_series"
    """Several slices lie at one position, and no attribute separates their stacks."""
    NO_GEOMETRY = "no_geometry"
    """No usable slice has Image Position and Image Orientation."""
    TOO_FEW_SLICES = "too_few_slices"
    """The stack has fewer slices than the bundle requires."""
    SLICE_SPACING = "slice_spacing"
    """The spacing of the slices is outside of the range of the bundle."""
    SLICE_ORIENTATION = "slice_orientation"
    """The stack has another orientation than the bundle requires."""


class StackProperties(NamedTuple):
    """The properties of a stack by which rules accept or refuse it."""

    slices: int
    spacing_mm: float
    """Median distance of neighbours; 0 for a single slice, to which a range of spacing does not apply."""
    orientation: str
    """`axial`, `coronal`, `sagittal` or `oblique`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesRules:
    """The admission rules of a bundle. The defaults accept every stack."""

    minimum_slices: int = 1
    spacing_mm: tuple[float, float] | None = None
    """Smallest and largest accepted spacing (median distance of neighbouring slices). None accepts any spacing."""
    orientation: str = ANY
    """`axial`, `coronal`, `sagittal` or `any`."""

    def __post_init__(self) -> None:
        """Raise ValueError for rules that no stack can meet."""
        if self.orientation not in ORIENTATIONS:
            allowed = ", ".join(ORIENTATIONS)
            raise ValueError(f"SeriesRules: orientation is {self.orientation!r}; allowed: {allowed}")
        if type(self.minimum_slices) is not int or self.minimum_slices < 1:
            raise ValueError(f"SeriesRules: minimum_slices is {self.minimum_slices!r}, not a positive whole number")
        if self.spacing_mm is not None:
            low, high = self.spacing_mm
            if not (math.isfinite(high) and 0 <= low <= high):
                raise ValueError(f"SeriesRules: spacing_mm requires 0 <= low <= high, not {low}..{high}")

    def refusal(self, stack: StackProperties) -> SeriesRefusal | None:
        """Return why a stack with these properties is refused; None if it is accepted.

        The range of accepted spacings is not applied to a stack of a single slice.
        """
        if stack.slices < self.minimum_slices:
            return SeriesRefusal.TOO_FEW_SLICES
        if self.orientation not in (ANY, stack.orientation):
            return SeriesRefusal.SLICE_ORIENTATION
        if self.spacing_mm is not None and stack.slices > 1:
            low, high = self.spacing_mm
            if not low - _ROUNDING_MM <= stack.spacing_mm <= high + _ROUNDING_MM:
                return SeriesRefusal.SLICE_SPACING
        return None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for bundle.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read the values that `to_json` returned. Raises TypeError or ValueError for other values."""
        spacing = values.get("spacing_mm")
        return cls(**values | {"spacing_mm": None if spacing is None else (float(spacing[0]), float(spacing[1]))})


EVERY_SERIES = SeriesRules()
_ROUNDING_MM = 0.01
"""Tolerance, because positions are written with few decimals: a spacing of 0.999 mm counts as 1 mm."""
