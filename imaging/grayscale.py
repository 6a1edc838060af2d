"""Read rescale, VOI and padding, which turn the stored values of a frame into display values.

They are read from the functional groups of the frame, else from the shared groups, else from the top level (PS3.3
C.7.6.16.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice, repeat

from imaging import tags
from imaging.elements import Elements
from imaging.functional_groups import MODALITY, VOI, first_with, item_with, shared_group
from imaging.header_voi import Voi, read_voi
from imaging.lookup_table import ValueRange
from imaging.modality import Modality, read_modality
from imaging.padding import Padding, read_padding
from imaging.pixel_layout import PixelLayout
from imaging.remarks import Remark, Remarks
from imaging.series_cache import SeriesCache
from imaging.stored_bits import StoredValues
from imaging.tags import tag_name
from imaging.voi import Lut, Mapping
from imaging.walk import HeaderError
from nightread.errors import RejectImage
from nightread.reasons import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Grayscale:
    """The grayscale parameters of one frame. Objects with equal parameters are equal, so they can be cache keys."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    """The lookup table that is used instead of slope and intercept; None for a rescale."""
    voi: Mapping | None = None
    """VOI LUT, else window; None if neither is usable."""
    voi_fault: str = ""
    """Why the VOI LUT or the window of the header cannot be used; empty if nothing is wrong. It matters only for the
    intensity `voi`."""
    voi_note: str = ""
    """A fault in the VOI that does not prevent its use."""
    padding: tuple[float, float] | None = None
    """Lowest and highest stored value that marks padding (PS3.3 C.7.5.1.1.2)."""
    padding_fault: str = ""
    """Why the padding of the header was ignored; empty if nothing is wrong."""


PLAIN = Grayscale()
_GROUPS_AND_TABLES = (
    tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    MODALITY[0],
    VOI[0],
    tags.MODALITY_LUT_SEQUENCE,
    tags.VOI_LUT_SEQUENCE,
)


def read_grayscales(elements: Elements, layout: PixelLayout, remarks: Remarks) -> Iterator[Grayscale]:
    """Yield one Grayscale per frame, endlessly. Raises RejectImage(BAD_HEADER).

    Adds a remark if the header describes more or fewer frames than the pixel data hold.
    """
    try:
        if any(tag in elements for tag in _GROUPS_AND_TABLES):
            yield from _grayscales(elements, layout, remarks)
        else:
            yield from repeat(_top_level_grayscales.get(elements, layout))
    except HeaderError as error:
        raise RejectImage(Reason.BAD_HEADER, str(error)) from None


def without_unfit_voi(grayscale: Grayscale, stored: StoredValues) -> Grayscale:
    """Return the parameters without the VOI if the values cannot reach half of its range.

    The values were scaled to fewer bits than the header declares, so the VOI may be meant for larger values.
    """
    if grayscale.voi is None or grayscale.modality_lut is not None:
        return grayscale
    half = 1 << stored.bits - 1
    ends = (-half, half - 1) if stored.values.dtype.kind == "i" else (0, 2 * half - 1)
    lowest, highest = sorted(end * grayscale.slope + grayscale.intercept for end in ends)
    low, high = grayscale.voi.extent
    reached = min(high, highest) - max(low, lowest)
    if reached >= (high - low) / 2:
        return grayscale
    fault = f"The window or VOI LUT of the header does not fit pixels of {stored.bits} bits."
    return replace(grayscale, voi=None, voi_fault=fault, voi_note="")


def _grayscales(elements: Elements, layout: PixelLayout, remarks: Remarks) -> Iterator[Grayscale]:
    padding = read_padding(elements, layout)
    outer = [elements]
    if (shared := shared_group(elements)) is not None:
        outer.insert(0, shared)
    if tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE in elements:
        groups = list(islice(elements.items(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE), layout.frames + 1))
        if groups and len(groups) != layout.frames:
            _remark_groups(remarks, len(groups), layout.frames)
        yield from _by_frame(groups, elements, outer, layout, padding)
    yield from repeat(_of_all_frames(outer, elements, layout, padding))


def _top_level_grayscale(elements: Elements, layout: PixelLayout) -> Grayscale:
    return _of_all_frames([elements], elements, layout, read_padding(elements, layout))


_top_level_grayscales = SeriesCache(
    _top_level_grayscale,
    tags.PIXEL_PADDING_VALUE,
    tags.PIXEL_PADDING_RANGE_LIMIT,
    *tags.FLOAT_PADDING,
    *tags.DOUBLE_FLOAT_PADDING,
    tags.RESCALE_SLOPE,
    tags.RESCALE_INTERCEPT,
    tags.WINDOW_CENTER,
    tags.WINDOW_WIDTH,
    tags.VOI_LUT_FUNCTION,
)
"""Keeps the grayscale parameters of data sets that have neither functional groups nor lookup tables."""


def _of_all_frames(outer: list[Elements], elements: Elements, layout: PixelLayout, padding: Padding) -> Grayscale:
    modality = _modality(first_with(outer, *MODALITY), elements, layout)
    voi = read_voi(first_with(outer, *VOI), layout.bits_stored, lambda: modality.outputs(layout))
    return _grayscale(modality, voi, padding)


def _remark_groups(remarks: Remarks, groups: int, frames: int) -> None:
    if Remark.FRAMES_LEFT_OUT in remarks and groups > frames:
        return  # The last groups may describe the frames that were left out at the end.
    described = f"{groups:,}" if groups < frames else f"more than {frames:,}"
    name, hold = tag_name(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE), f"the pixel data hold {frames:,}"
    detail = f"{name} describes {described} of the frames, but {hold}. A frame may have the window of another frame."
    remarks.add(Remark.FRAME_GROUPS_DIFFER, detail)


def _by_frame(
    groups: list[Elements],
    elements: Elements,
    outer: list[Elements],
    layout: PixelLayout,
    padding: Padding,
) -> Iterator[Grayscale]:
    """Yield one Grayscale per frame. Values shared by all frames are read once, and only if a frame needs them."""
    modality_of_all = cache(lambda: _modality(first_with(outer, *MODALITY), elements, layout))

    def modality_of(frame: Elements) -> Modality:
        own = item_with(frame, *MODALITY, outer)
        return modality_of_all() if own is None else _modality(own, elements, layout)

    def inputs_of_all() -> ValueRange:
        ranges = [modality_of(frame).outputs(layout) for frame in groups]
        return ValueRange(min(each.low for each in ranges), max(each.high for each in ranges))

    bits = layout.bits_stored
    voi_of_all = cache(lambda: read_voi(first_with(outer, *VOI), bits, inputs_of_all))
    for frame in groups:
        modality, own_voi = modality_of(frame), item_with(frame, *VOI, outer)
        voi = voi_of_all() if own_voi is None else read_voi(own_voi, bits, partial(modality.outputs, layout))
        yield _grayscale(modality, voi, padding)


def _grayscale(modality: Modality, voi: Voi, padding: Padding) -> Grayscale:
    return Grayscale(
        slope=modality.slope,
        intercept=modality.intercept,
        modality_lut=modality.lut,
        voi=voi.mapping,
        voi_fault=voi.fault,
        voi_note=voi.note,
        padding=padding.range,
        padding_fault=padding.fault,
    )


def _modality(place: Elements | None, elements: Elements, layout: PixelLayout) -> Modality:
    """Read the modality transformation of a functional group or of the top level.

    DICOM requires a rescale in a functional group. A rescale with slope 1 and intercept 0 does not replace a lookup
    table of the top level.
    """
    modality = Modality() if place is None else read_modality(place, layout)
    if modality == Modality() and place is not elements and tags.MODALITY_LUT_SEQUENCE in elements:
        return read_modality(elements, layout)
    return modality
