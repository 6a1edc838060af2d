"""Read rescale, VOI and padding, which turn the stored values of a frame into display values.

They are read from the functional groups of the frame, else from the shared groups, else from the top level (PS3.3
C.7.6.16.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from typing import NamedTuple

import numpy as np

from imaging import tags
from imaging.colour import lut_descriptor, lut_entries
from imaging.elements import Elements, HeaderError
from imaging.frames import mask_unused_bits
from imaging.pixel_layout import PixelLayout
from imaging.voi import Lut, Mapping, window
from nightread.errors import RejectImage
from nightread.reasons import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Grayscale:
    """The grayscale parameters of one frame. Equal parameters compare equal, so that tables can be cached by them."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    """If set, it replaces slope and intercept."""
    voi: Mapping | None = None
    """VOI LUT, else window; None if the header has neither."""
    voi_fault: str = ""
    """Message if the VOI of the header is invalid. It is an error only for intensity `voi`."""
    padding: tuple[int, int] | None = None
    """Lowest and highest stored value that marks padding (PS3.3 C.7.5.1.1.2)."""


PLAIN = Grayscale()
_RESCALE = tags.PIXEL_VALUE_TRANSFORMATION_SEQUENCE, (tags.RESCALE_SLOPE, tags.RESCALE_INTERCEPT)
_VOI = tags.FRAME_VOI_LUT_SEQUENCE, (tags.VOI_LUT_SEQUENCE, tags.WINDOW_CENTER)
_LARGEST, _SMALLEST_SLOPE = 1e15, 1e-20
"""Limits that no real image exceeds. Beyond them float32 overflows, and a frame would become black or NaN."""


class _Rescale(NamedTuple):
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None


def read_grayscales(elements: Elements, layout: PixelLayout) -> Iterator[Grayscale]:
    """Yield one Grayscale per frame, endlessly. Raises RejectImage(BAD_HEADER)."""
    try:
        yield from _grayscales(elements, layout)
    except HeaderError as error:
        raise RejectImage(Reason.BAD_HEADER, str(error)) from None


def _grayscales(elements: Elements, layout: PixelLayout) -> Iterator[Grayscale]:
    padding = _padding(elements, layout)
    shared = elements.item(tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
    outer = [group for group in (shared, elements) if group is not None]
    if tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE in elements:
        yield from _by_frame(elements, outer, layout, padding)
    rescale = _rescale(_first_with(outer, *_RESCALE), elements, layout)
    voi, voi_fault = _voi_or_fault(_first_with(outer, *_VOI), signed=_is_signed(rescale, layout))
    yield from repeat(_grayscale(rescale, voi, voi_fault, padding))


def _by_frame(
    elements: Elements, outer: list[Elements], layout: PixelLayout, padding: tuple[int, int] | None
) -> Iterator[Grayscale]:
    """Yield one Grayscale per frame. Values shared by all frames are read once, and only if a frame needs them."""
    rescale_of_all = cache(lambda: _rescale(_first_with(outer, *_RESCALE), elements, layout))
    voi_of_all = cache(lambda signed: _voi_or_fault(_first_with(outer, *_VOI), signed=signed))
    for frame in elements.items(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE):
        own_rescale, own_voi = _item_with(frame, *_RESCALE), _item_with(frame, *_VOI)
        rescale = rescale_of_all() if own_rescale is None else _rescale(own_rescale, elements, layout)
        signed = _is_signed(rescale, layout)
        voi, voi_fault = voi_of_all(signed) if own_voi is None else _voi_or_fault(own_voi, signed=signed)
        yield _grayscale(rescale, voi, voi_fault, padding)


def _grayscale(rescale: _Rescale, voi: Mapping | None, voi_fault: str, padding: tuple[int, int] | None) -> Grayscale:
    slope, intercept, modality_lut = rescale
    return Grayscale(
        slope=slope, intercept=intercept, modality_lut=modality_lut, voi=voi, voi_fault=voi_fault, padding=padding
    )


def _is_signed(rescale: _Rescale, layout: PixelLayout) -> bool:
    """Return whether the inputs of a VOI LUT may be negative."""
    return rescale.modality_lut is None and (layout.signed or rescale.intercept < 0)


def _rescale(place: Elements | None, elements: Elements, layout: PixelLayout) -> _Rescale:
    if place is not None:
        slope, intercept = _bounded(place, tags.RESCALE_SLOPE), _bounded(place, tags.RESCALE_INTERCEPT)
        if slope and abs(slope) < _SMALLEST_SLOPE:
            raise HeaderError("The rescale slope is too small.")
        # A slope of zero would make all pixels equal; its writers mean that there is no rescale.
        return _Rescale(slope=slope or 1.0, intercept=intercept or 0.0)
    item = elements.item(tags.MODALITY_LUT_SEQUENCE)
    return _Rescale() if item is None else _Rescale(modality_lut=_lut(item, signed=layout.signed))


def _voi_or_fault(place: Elements | None, *, signed: bool) -> tuple[Mapping | None, str]:
    try:
        return (None if place is None else _voi(place, signed=signed)), ""
    except HeaderError as error:
        return None, str(error)
    except RejectImage as error:
        return None, error.detail


def _voi(place: Elements, *, signed: bool) -> Mapping | None:
    item = place.item(tags.VOI_LUT_SEQUENCE)
    if item is not None:
        return _lut(item, signed=signed)
    center, width = _bounded(place, tags.WINDOW_CENTER), _bounded(place, tags.WINDOW_WIDTH)
    if center is None or width is None:
        return None
    return window(center, width, place.text(tags.VOI_LUT_FUNCTION))


def _first_with(groups: list[Elements], sequence: int, wanted: tuple[int, ...]) -> Elements | None:
    """Return the first data set with one of the `wanted` tags.

    The functional groups (item of `sequence`) are searched first, then the top level.
    """
    for group in groups:
        if (item := _item_with(group, sequence, wanted)) is not None:
            return item
    return groups[-1] if any(tag in groups[-1] for tag in wanted) else None


def _item_with(group: Elements, sequence: int, wanted: tuple[int, ...]) -> Elements | None:
    item = group.item(sequence) if sequence in group else None
    return item if item is not None and any(tag in item for tag in wanted) else None


def _bounded(place: Elements, tag: int) -> float | None:
    value = place.number(tag)
    if value is not None and abs(value) > _LARGEST:
        raise HeaderError("A rescale or window value is too large.")
    return value


def _lut(item: Elements, *, signed: bool) -> Lut:
    entries, first, bits = lut_descriptor(item, tags.LUT_DESCRIPTOR, signed=signed)
    data = lut_entries(item, tags.LUT_DATA, entries)
    if not len(data):
        raise RejectImage(Reason.BAD_HEADER, "A lookup table has no data.")
    return Lut(first=first, bits=bits, entries=data.astype("<u2").tobytes())


def _padding(elements: Elements, layout: PixelLayout) -> tuple[int, int] | None:
    """Read the padding range by PixelRepresentation, whatever its VR, and mask it to BitsStored like the pixels."""
    raw = elements.raw(tags.PIXEL_PADDING_VALUE)[:2], elements.raw(tags.PIXEL_PADDING_RANGE_LIMIT)[:2]
    values = [int(value) for part in raw for value in elements.unpack(part, "h" if layout.signed else "H")]
    if not values:
        return None
    stored = np.array(values, np.int16 if layout.signed else np.uint16)
    if layout.bits_allocated == 8 * stored.itemsize:
        stored = mask_unused_bits(stored, layout)
    return int(stored.min()), int(stored.max())
