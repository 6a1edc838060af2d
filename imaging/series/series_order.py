"""Define the result of arranging a series: its stacks in order, and what was left out."""

from dataclasses import dataclass
from enum import StrEnum

from imaging.series.rules import SeriesRefusal, StackProperties
from imaging.series.slice_geometry import SliceGeometry, StackAttributes


class LeftOutReason(StrEnum):
    """Why a slice is part of no stack."""

    LOCALIZER = "localizer"
    """Its Image Type says LOCALIZER."""
    OTHER_ORIENTATION = "other_orientation"
    """One of a few slices that lie across the others: most likely a localizer without the mark."""
    DUPLICATE = "duplicate"
    """Another slice has the same SOP Instance UID, or the same position, attributes and Instance Number."""
    NO_GEOMETRY = "no_geometry"
    """It has no usable Image Position and Image Orientation."""


class StackFinding(StrEnum):
    """What a person should know of a stack. The figures are fields of the stack."""

    GAP = "gap"
    """`gaps`: places where slices are missing."""
    IRREGULAR_SPACING = "irregular_spacing"
    """`spacing_range_mm`: distances that are neither the usual one nor a multiple of it."""
    MIXED_SIZES = "mixed_sizes"
    """`sizes`: the slices have several matrices."""
    MIXED_PIXEL_SPACING = "mixed_pixel_spacing"
    """The slices have several pixel spacings."""
    GANTRY_TILT = "gantry_tilt"
    """`tilt_degrees`: the slices are shifted against each other, because the gantry was tilted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceGap:
    """A place where slices seem to be missing."""

    after: int
    """Index in `SliceStack.slices` of the slice before the gap."""
    distance_mm: float
    missing: int
    """Number of slices of the usual spacing that would fill it."""


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
    """The attributes that tell this stack from others of its series; the others are None."""
    spacing_mm: float
    """Median distance of neighbours; 0 for a single slice."""
    spacing_range_mm: tuple[float, float]
    """Smallest and largest distance of neighbours."""
    tilt_degrees: float
    """Angle between the normal and the line through the first pixels of first and last slice."""
    gaps: tuple[SliceGap, ...]
    sizes: tuple[tuple[int | None, int | None], ...]
    """The different (rows, columns), most frequent first."""
    findings: tuple[StackFinding, ...]
    refusal: SeriesRefusal | None = None
    """Why the rules of the bundle, or its ambiguity, exclude this stack; None if it is accepted."""

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
    """The largest first; of equal ones the one whose first slice has the lowest Instance Number."""
    left_out: tuple[LeftOutSlice, ...]
    refusal: SeriesRefusal | None
    """Why the series has no result; None if at least one stack is accepted and none is ambiguous."""

    @property
    def accepted(self) -> tuple[SliceStack, ...]:
        """Return the stacks to analyse; none if the series is refused."""
        return () if self.refusal else tuple(stack for stack in self.stacks if stack.refusal is None)
