"""Read the VOI of a header: the first usable lookup table, else the first usable window (PS3.3 C.11.2)."""

import math
from collections.abc import Callable
from typing import NamedTuple

from imaging import tags
from imaging.elements import Elements, decimal
from imaging.lookup_table import ValueRange
from imaging.modality import LARGEST, read_lut
from imaging.tags import tag_name
from imaging.voi import Lut, Mapping, plain_function, window
from imaging.walk import HeaderError
from nightread.errors import RejectImage

_WINDOW = "window (0028,1050)"
_BINARY = (b"US", b"SS", b"UL", b"SL", b"UV", b"SV", b"FL", b"FD")


class Voi(NamedTuple):
    """The VOI of a header. `mapping` is None if the header has no usable lookup table and no usable window."""

    mapping: Mapping | None = None
    fault: str = ""
    """What cannot be used, and why. If `mapping` is set too, it is a window, and the lookup table is unusable."""
    note: str = ""
    """A fault that does not prevent the use of the mapping."""


def read_voi(place: Elements | None, input_bits: int, inputs: Callable[[], ValueRange]) -> Voi:
    """Read lookup tables and windows of one data set or item. `inputs` returns the range of the modality values."""
    if place is None:
        return Voi()
    lut, fault = None, ""
    if tags.VOI_LUT_SEQUENCE in place:
        lut, fault = _first_lut(place, input_bits, inputs())
    if lut is not None:
        return Voi(lut, note=lut.note)
    window_voi = _first_window(place)
    return window_voi._replace(fault=fault) if fault else window_voi


def _first_lut(place: Elements, input_bits: int, inputs: ValueRange) -> tuple[Lut | None, str]:
    fault = ""
    try:
        for item in place.items(tags.VOI_LUT_SEQUENCE):
            try:
                if lut := read_lut(item, input_bits, inputs):
                    return lut, ""
            except RejectImage as error:
                fault = fault or error.detail
    except HeaderError as error:
        fault = fault or str(error)
    return None, fault


def _first_window(place: Elements) -> Voi:
    centers, widths = _numbers(place, tags.WINDOW_CENTER), _numbers(place, tags.WINDOW_WIDTH)
    if not centers and not widths:
        return Voi()
    if len(centers) == 0 or len(widths) == 0:
        return Voi(fault=f"The {_WINDOW} lacks its center or its width.")
    function = place.text(tags.VOI_LUT_FUNCTION) if tags.VOI_LUT_FUNCTION in place else None
    for center, width in zip(centers, widths, strict=False):
        if center is None or width is None or max(abs(center), abs(width)) > LARGEST:
            continue
        if mapping := window(center, width, function):
            return Voi(mapping, note=_unpaired(centers, widths) or _unknown(function))
    return Voi(fault=f"The center and width of the {_WINDOW} are not usable numbers, or the width is not positive.")


def _unpaired(centers: list[float | None], widths: list[float | None]) -> str:
    """Return a sentence if the numbers of centers and widths differ, else an empty text."""
    counts = [sum(value is not None for value in values) for values in (centers, widths)]
    if counts[0] == counts[1]:
        return ""
    numbers = f"different numbers of centers ({counts[0]}) and widths ({counts[1]})"
    return f"The {_WINDOW} has {numbers}; the first pair was used."


def _unknown(function: str | None) -> str:
    return "" if plain_function(function) else f"{tag_name(tags.VOI_LUT_FUNCTION)} is unknown; LINEAR was used."


def _numbers(place: Elements, tag: int) -> list[float | None]:
    """Return the values in their order. None replaces a value that is not a finite number. Empty if there are none."""
    element = place.get(tag)
    if element is not None and element[0] in _BINARY:
        return _binary_numbers(place, tag)
    text = place.text(tag) or ""
    return [_number(part) for part in text.split("\\")] if text.strip(" \x00\\") else []


def _binary_numbers(place: Elements, tag: int) -> list[float | None]:
    try:
        return list(place.numbers(tag))
    except HeaderError:
        return [None]


def _number(text: str) -> float | None:
    value = decimal(text.strip(" \x00"))
    return value if value is not None and math.isfinite(value) else None
