"""What turns the stored values of one frame into display values: rescale, VOI and padding, from the header.

Looked for in the frame's functional groups, then in the shared ones, then at top level (PS3.3 C.7.6.16.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from imaging import tags
from imaging.colour import lut_descriptor, lut_entries
from imaging.elements import Elements, HeaderError
from imaging.form import PixelForm
from imaging.frames import masked
from imaging.voi import Lut, Mapping, window
from nightread.errors import RejectImage
from nightread.reasons import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Grayscale:
    """Parameters of one frame; equal for frames that look alike, so that tables made from it can be kept."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    """Replaces slope and intercept where it is there."""
    voi: Mapping | None = None
    """VOI LUT before window; None where the header asks for nothing."""
    voi_fault: str = ""
    """Why the header's VOI cannot be read: a fault for those who want it, and for nobody else."""
    padding: tuple[int, int] | None = None
    """Lowest and highest stored value that is no pixel (PS3.3 C.7.5.1.1.2)."""


PLAIN = Grayscale()


def read_grayscales(elements: Elements, form: PixelForm) -> Iterator[Grayscale]:
    """One Grayscale per frame, without end. Raises RejectImage(BAD_HEADER)."""
    try:
        yield from _grayscales(elements, form)
    except HeaderError as fault:
        raise RejectImage(Reason.BAD_HEADER, str(fault)) from None


def _grayscales(elements: Elements, form: PixelForm) -> Iterator[Grayscale]:
    padding = _padding(elements, form)
    shared = elements.item(tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
    outer = [group for group in (shared, elements) if group is not None]
    for frame in elements.items(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE):
        yield _grayscale([frame, *outer], form, padding)
    yield from repeat(_grayscale(outer, form, padding))


def _grayscale(groups: list[Elements], form: PixelForm, padding: tuple[int, int] | None) -> Grayscale:
    rescale = _first_with(
        groups, tags.PIXEL_VALUE_TRANSFORMATION_SEQUENCE, (tags.RESCALE_SLOPE, tags.RESCALE_INTERCEPT)
    )
    slope = intercept = None
    modality_lut = None
    if rescale is not None:
        slope, intercept = rescale.number(tags.RESCALE_SLOPE), rescale.number(tags.RESCALE_INTERCEPT)
    elif (item := groups[-1].item(tags.MODALITY_LUT_SEQUENCE)) is not None:
        modality_lut = _lut(item, signed=form.signed)
    signed_input = form.signed or (intercept or 0) < 0
    voi, voi_fault = _voi_or_fault(groups, signed=signed_input and modality_lut is None)
    return Grayscale(
        slope=slope or 1.0,  # A slope of zero would make every pixel equal; writers mean that there is none.
        intercept=intercept or 0.0,
        modality_lut=modality_lut,
        voi=voi,
        voi_fault=voi_fault,
        padding=padding,
    )


def _voi_or_fault(groups: list[Elements], *, signed: bool) -> tuple[Mapping | None, str]:
    try:
        return _voi(groups, signed=signed), ""
    except HeaderError as fault:
        return None, str(fault)
    except RejectImage as fault:
        return None, fault.detail


def _voi(groups: list[Elements], *, signed: bool) -> Mapping | None:
    source = _first_with(groups, tags.FRAME_VOI_LUT_SEQUENCE, (tags.VOI_LUT_SEQUENCE, tags.WINDOW_CENTER))
    if source is None:
        return None
    item = source.item(tags.VOI_LUT_SEQUENCE)
    if item is not None:
        return _lut(item, signed=signed)
    center, width = source.number(tags.WINDOW_CENTER), source.number(tags.WINDOW_WIDTH)
    if center is None or width is None:
        return None
    return window(center, width, source.text(tags.VOI_LUT_FUNCTION))


def _first_with(groups: list[Elements], sequence: int, wanted: tuple[int, ...]) -> Elements | None:
    """The innermost place that has a wanted element: the macro's item of a functional group, at last the top level."""
    items = (group.item(sequence) for group in groups)
    for place in chain(items, groups[-1:]):
        if place is not None and any(tag in place for tag in wanted):
            return place
    return None


def _lut(item: Elements, *, signed: bool) -> Lut:
    entries, first, bits = lut_descriptor(item, tags.LUT_DESCRIPTOR, signed=signed)
    data = lut_entries(item, tags.LUT_DATA, entries)
    if not len(data):
        raise RejectImage(Reason.BAD_HEADER, "A lookup table has no data.")
    return Lut(first=first, bits=bits, entries=data.astype("<u2").tobytes())


def _padding(elements: Elements, form: PixelForm) -> tuple[int, int] | None:
    """Read by PixelRepresentation, whatever VR the writer chose, and masked to BitsStored as the pixels are."""
    raw = elements.raw(tags.PIXEL_PADDING_VALUE)[:2], elements.raw(tags.PIXEL_PADDING_RANGE_LIMIT)[:2]
    values = [int(value) for part in raw for value in elements.unpack(part, "h" if form.signed else "H")]
    if not values:
        return None
    stored = np.array(values, np.int16 if form.signed else np.uint16)
    if form.bits_allocated == 8 * stored.itemsize:
        stored = masked(stored, form)
    return int(stored.min()), int(stored.max())
