"""Read the modality transformation: a lookup table, else a rescale (PS3.3 C.11.1)."""

from typing import NamedTuple

from imaging import tags
from imaging.elements import Elements
from imaging.lookup_table import (
    ValueRange,
    first_mapped,
    fitted_entries,
    guessed_descriptor,
    read_descriptor,
    read_table,
)
from imaging.pixel_layout import PixelLayout
from imaging.tags import tag_name
from imaging.voi import Lut
from imaging.walk import HeaderError
from nightread.errors import RejectImage
from nightread.reasons import Reason

_DATA = f"{tag_name(tags.LUT_DATA)} of a lookup table"
LARGEST = 1e15
_SMALLEST_SLOPE = 1e-20
"""Limits that no real image exceeds. Beyond them float32 overflows, and a frame would become black or NaN."""


class Modality(NamedTuple):
    """The transformation from stored values to modality values."""

    slope: float = 1.0
    intercept: float = 0.0
    lut: Lut | None = None
    """The lookup table, or None for a rescale. With a table, slope and intercept are 1 and 0."""

    def outputs(self, layout: PixelLayout) -> ValueRange:
        """Return the lowest and highest modality value that the stored bits allow."""
        if self.lut is not None:
            return ValueRange(0, self.lut.top)
        low, high = (end * self.slope + self.intercept for end in stored_range(layout))
        return ValueRange(min(low, high), max(low, high))


def stored_range(layout: PixelLayout) -> ValueRange:
    """Return the lowest and highest stored value that the bits allow."""
    if layout.floating:
        return ValueRange(-LARGEST, LARGEST)
    span = 1 << layout.bits_stored
    return ValueRange(-span // 2, span // 2 - 1) if layout.signed else ValueRange(0, span - 1)


def read_modality(place: Elements, layout: PixelLayout) -> Modality:
    """Read the lookup table of a data set or item, else its rescale.

    A header must not have both (C.11.1.1), but gateways add slope 1 and intercept 0 beside a table. Raises HeaderError
    and RejectImage(BAD_HEADER).
    """
    item = place.item(tags.MODALITY_LUT_SEQUENCE)
    if item is not None and (lut := read_lut(item, layout.bits_stored, stored_range(layout))):
        return Modality(lut=lut)
    slope, intercept = bounded(place, tags.RESCALE_SLOPE), bounded(place, tags.RESCALE_INTERCEPT)
    if slope and abs(slope) < _SMALLEST_SLOPE:
        raise HeaderError(f"{tag_name(tags.RESCALE_SLOPE)} is too small.")
    # A slope of zero would make all pixels equal; its writers mean that there is no rescale.
    return Modality(slope=slope or 1.0, intercept=intercept or 0.0)


def bounded(place: Elements, tag: int) -> float | None:
    """Return a number; None if it is absent or empty. Raises HeaderError if it is too large for float32."""
    value = place.number(tag)
    if value is not None and abs(value) > LARGEST:
        raise HeaderError(f"{tag_name(tag)} is too large.")
    return value


def read_lut(item: Elements, input_bits: int, inputs: ValueRange) -> Lut | None:
    """Read a modality or VOI lookup table; None for an empty item, which has neither descriptor nor data.

    Raises RejectImage(BAD_HEADER) if the table lacks entries that the `inputs` need.
    """
    data, descriptor = item.get(tags.LUT_DATA), read_descriptor(item, tags.LUT_DESCRIPTOR)
    if descriptor is None:
        if data is None or not data[2]:
            return None
        descriptor = guessed_descriptor(data[2], input_bits)
    values, said = read_table(item, tags.LUT_DATA, descriptor)
    if not len(values):
        raise RejectImage(Reason.BAD_HEADER, f"{_DATA} is missing or empty.")
    first, note = first_mapped(descriptor, inputs), ""
    if len(values) < descriptor.entries:
        note = f"{_DATA} has {len(values):,} of {descriptor.entries:,} entries."
        if first + len(values) <= inputs.high:
            raise RejectImage(Reason.BAD_HEADER, note)
    fitting = fitted_entries(values, said)
    note = note or (fitting.fault and f"{_DATA} {fitting.fault}")
    return Lut(first=first, bits=fitting.bits, entries=fitting.values.astype("<u2").tobytes(), note=note)
