"""Define the result of arranging a series: its stacks in order, and the slices that were left out."""

from dataclasses import dataclass
from enum import StrEnum

from imaging.series.rules import SeriesRefusal, StackProperties
from imaging.series.slice_geometry import SliceGeometry, StackAttributes


class LeftOutReason(StrEnum):
    """Why a slice is part of no stack."""

    LOCALIZER = "localizer"
    """The Image Type of the slice says LOCALIZER."""
    OTHER_ORIENTATION = "other_orientation"
    """Only a few slices of the series have this orientation: they are most likely localizers that are not marked."""
    DUPLICATE = "duplicate"
    """Another slice has the same SOP Instance UID, or the same position, attributes and Instance Number."""
    NO_GEOMETRY = "no_geometry"
    """The slice has no usable Image Position and Image Orientation."""


class StackFinding(StrEnum):
    """Something unusual about a stack that a person should know.

    The details (such as the gaps or the tilt) are in the fields of `SliceStack`.
    """

    GAP = "gap"
    """Slices seem to be missing at the places in `gaps`."""
    IRREGULAR_SPACING = "irregular_spacing"
    """Some distances are neither the usual distance nor a multiple of it; `spacing_range_mm` has the range."""
    MIXED_SIZES = "mixed_sizes"
    """The slices have different numbers of rows or columns, listed in `sizes`."""
    MIXED_PIXEL_SPACING = "mixed_pixel_spacing"
    """The slices have different pixel spacings."""
    GANTRY_TILT = "gantry_tilt"
    """The slices are shifted against each other, because the gantry was tilted by `tilt_degrees`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceGap:
    """A place where slices seem to be missing."""

    after: int
    """Index in `SliceStack.slices` of the slice before the gap."""
    distance_mm: float
    missing: int
    """Number of slices of the usual spacing that would fill the gap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceStack:
    """Slices of one orientation in the order of their position along the normal."""

    slices: tuple[SliceGeometry, ...]
    """From the lowest position to the highest: axial from foot to head, coronal from front to back, sagittal from the
    right of the patient to the left (the axes of LPS, PS3.3 C.7.6.2.1.1)."""
    positions_mm: tuple[float, ...]
    """Position of each slice along the normal."""
    orientation: str
    """`axial`, `coronal`, `sagittal` or `oblique` (more than 40 degrees from each)."""
    told_apart_by: StackAttributes
    """The attributes by which this stack differs from other stacks of its series. All other fields are None."""
    spacing_mm: float
    """Median distance of neighbours; 0 for a single slice."""
    spacing_range_mm: tuple[float, float]
    """Smallest and largest distance of neighbours."""
    tilt_degrees: float
    """Angle between the normal and the line through the first pixels of first and last slice."""
    gaps: tuple[SliceGap, ...]
    sizes: tuple[tuple[int | None, int | None], ...]
    """The different pairs (rows, columns), the most frequent first."""
    findings: tuple[StackFinding, ...]
    refusal: SeriesRefusal | None = None
    """Why this stack is refused: by a rule of the bundle, or because it is ambiguous. None if it is accepted."""

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.slices)

    @property
    def properties(self) -> StackProperties:
        """Return the properties by which the rules of a bundle accept or refuse the stack."""
        return StackProperties(len(self), self.spacing_mm, self.orientation)


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOutSlice:
    """A slice that is part of no stack."""

    slice: SliceGeometry
    reason: LeftOutReason


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesOrder:
    """All slices of a series: each is in one stack, or was left out."""

    stacks: tuple[SliceStack, ...]
    """The stacks, the largest first. Stacks of equal size are sorted by their lowest Instance Number."""
    left_out: tuple[LeftOutSlice, ...]
    refusal: SeriesRefusal | None
    """Why the series has no result; None if at least one stack is accepted and none is ambiguous."""

    @property
    def accepted(self) -> tuple[SliceStack, ...]:
        """Return the stacks to analyse; empty if the series is refused."""
        return () if self.refusal else tuple(stack for stack in self.stacks if stack.refusal is None)
