"""Describe what a person should know in addition to the result of a stack."""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from imaging.series.series_order import LeftOutReason, SeriesOrder, SliceStack, StackFinding


class SeriesRemark(StrEnum):
    """One word that the database stores with the result of a stack; the sentence of the remark has the figures."""

    GAP = "gap"
    IRREGULAR_SPACING = "irregular_spacing"
    MIXED_SIZES = "mixed_sizes"
    MIXED_PIXEL_SPACING = "mixed_pixel_spacing"
    GANTRY_TILT = "gantry_tilt"
    LOCALIZERS_LEFT_OUT = "localizers_left_out"
    ACROSS_LEFT_OUT = "across_left_out"
    DUPLICATES_LEFT_OUT = "duplicates_left_out"
    NO_GEOMETRY = "no_geometry"
    BAD_SLICES = "bad_slices"
    UNFINISHED_SLICES = "unfinished_slices"
    IMAGES_MISSING = "images_missing"
    SEVERAL_SOURCES = "several_sources"
    IN_CONFLICT = "in_conflict"


Said = tuple[SeriesRemark, str]
"""A remark with its sentence."""


def stack_remarks(stack: SliceStack) -> Iterator[Said]:
    """Yield the remarks about the order and the geometry of the slices of a stack."""
    low, high = stack.spacing_range_mm
    first, missing = (stack.gaps[0], sum(gap.missing for gap in stack.gaps)) if stack.gaps else (None, 0)
    sentences = {
        StackFinding.GAP: f"{_slices(missing)} missing, the first after slice {first.after + 1 if first else 0}.",
        StackFinding.IRREGULAR_SPACING: f"Distances of slices are {low:g} to {high:g} mm.",
        StackFinding.MIXED_SIZES: f"Slices have {len(stack.sizes)} sizes.",
        StackFinding.MIXED_PIXEL_SPACING: "Slices have several pixel spacings.",
        StackFinding.GANTRY_TILT: f"The gantry was tilted by {stack.tilt_degrees:g} degrees.",
    }
    for finding in stack.findings:
        yield SeriesRemark(finding.value), sentences[finding]


def left_out_remarks(order: SeriesOrder) -> Iterator[Said]:
    """Yield how many slices are part of no stack, and why."""
    counts = Counter(left_out.reason for left_out in order.left_out)
    for reason, (remark, what) in _LEFT_OUT.items():
        if counts[reason]:
            yield remark, f"{what} left out: {counts[reason]}."


def numbered(remark: SeriesRemark, number: int) -> Iterator[Said]:
    """Yield the remark, with this number of slices in its sentence, unless the number is zero."""
    if number:
        yield remark, f"{_slices(number)} {_OF_SLICES[remark]}."


def words_and_detail(remarks: Iterator[Said], *, longest: int) -> tuple[str | None, str | None]:
    """Return the words of the remarks, with spaces, and as many of their sentences as fit into `longest` characters."""
    said = dict(remarks)
    detail = ""
    for sentence in said.values():
        if len(detail) + len(sentence) + 1 <= longest:
            detail = f"{detail} {sentence}".strip()
    return " ".join(said) or None, detail or None


def _slices(number: int) -> str:
    return f"{number:,} slice is" if number == 1 else f"{number:,} slices are"


_OF_SLICES = {
    SeriesRemark.BAD_SLICES: "without a result",
    SeriesRemark.UNFINISHED_SLICES: "not analysed yet",
    SeriesRemark.IN_CONFLICT: "stored in several versions; the most suspicious version counts",
}
_LEFT_OUT = {
    LeftOutReason.LOCALIZER: (SeriesRemark.LOCALIZERS_LEFT_OUT, "Localizers"),
    LeftOutReason.OTHER_ORIENTATION: (SeriesRemark.ACROSS_LEFT_OUT, "Slices of another orientation"),
    LeftOutReason.DUPLICATE: (SeriesRemark.DUPLICATES_LEFT_OUT, "Duplicates"),
    LeftOutReason.NO_GEOMETRY: (SeriesRemark.NO_GEOMETRY, "Images without position or orientation"),
}
