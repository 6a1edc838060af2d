"""Store the coloured picture as RGB, as YBR (PS3.3 C.7.6.3.1.2), or as indices of a palette (C.7.6.3.1.5, C.7.9)."""

from typing import Any, NamedTuple

import numpy as np

from metamorphic.axes import BITS, DCT, PALETTES, SIZES, UNCODED, Cell
from metamorphic.elements import DataSet
from metamorphic.modality import Values
from metamorphic.pictures import PATCH_COLOURS, colours, inner, patch_numbers

LABELS = {
    "RGB": "RGB",
    "RGB_planar": "RGB",
    "RGB_unmarked": "RGB",
    "YBR_FULL": "YBR_FULL",
    "YBR_FULL_planar": "YBR_FULL",
    "YBR_FULL_422": "YBR_FULL_422",
    "YBR_unmarked": "YBR_FULL",
    "YBR_RCT": "YBR_RCT",
    "YBR_ICT": "YBR_ICT",
    "422label_444data": "YBR_FULL_422",
    "422label_420data": "YBR_FULL_422",
    "RGBlabel_YBRdata": "RGB",
    "RGBlabel_MCT": "RGB",
    "RCTlabel_noMCT": "YBR_RCT",
    "YBRlabel_MCT": "YBR_FULL",
    "lossless_is_baseline": "YBR_FULL",
    **dict.fromkeys(PALETTES, "PALETTE COLOR"),
}
_YBR = frozenset(("YBR_FULL", "YBR_FULL_planar", "YBR_FULL_422", "YBR_unmarked", "422label_444data"))
"""Levels whose samples are luminance and chrominance, unless the JPEG encoder itself converts them."""
_STEP = 18
"""Number of palette entries from one colour to the next."""
_ENTRIES = 12 * _STEP + 1


class ColourFrame(NamedTuple):
    """One frame as integers, and what a network must get."""

    stored: Values
    """(rows, columns, 3) samples, or (rows, columns) palette indices."""
    shown: Values
    """RGB from 0 to 1."""
    tolerance: float
    mask: Values | None
    """The pixels that can be compared; None for all."""


def colour_frame(cell: Cell, frame: int) -> ColourFrame:
    """Return one frame of the picture as the cell stores it."""
    size = SIZES[cell.size]
    rgb = colours(*size, frame)
    shown = rgb / 255
    if cell.colour in PALETTES:
        return ColourFrame(_indices(cell, frame), shown, 1.2 / 255, None)
    lossy = cell.syntax in DCT or cell.colour == "lossless_is_baseline"
    tolerance = 5 / 255 if lossy else 2.5 / 255 if cell.syntax == "j2k91" else 0.0015
    mask = inner(*size) if lossy else None
    if cell.colour in _YBR and not lossy:
        return ColourFrame(ybr(rgb), shown, 2.5 / 255, mask)
    top = (1 << BITS[cell.bits].stored) - 1
    stored = np.round(shown * top).astype(np.int64)
    return ColourFrame(stored, shown, max(tolerance, 1.0 / top), mask)


def ybr(rgb: Values) -> Values:
    """Convert RGB of 8 bits to YBR_FULL with the coefficients that PS3.3 prints."""
    red, green, blue = (rgb[..., sample].astype(np.float64) for sample in range(3))
    luminance = 0.2990 * red + 0.5870 * green + 0.1140 * blue
    towards_blue = -0.1687 * red - 0.3313 * green + 0.5000 * blue + 128
    towards_red = 0.5000 * red - 0.4187 * green - 0.0813 * blue + 128
    return np.clip(np.round(np.stack([luminance, towards_blue, towards_red], -1)), 0, 255).astype(np.int64)


def half_chroma(samples: Values) -> Values:
    """Return YBR_FULL_422 as Y Y Cb Cr for each pair of pixels, whose chroma is equal in this picture."""
    left, right = samples[:, 0::2], samples[:, 1::2]
    return np.stack([left[..., 0], right[..., 0], left[..., 1], left[..., 2]], -1)


def is_half_chroma(cell: Cell) -> bool:
    """Return whether the cell stores two bytes for each pixel."""
    return cell.colour == "YBR_FULL_422" and cell.syntax in UNCODED


def _first(cell: Cell) -> int:
    return -100 if cell.sign == "signed" else 3


def _indices(cell: Cell, frame: int) -> Values:
    """Return the index of each patch's colour. The colour of patch 0 is also that of all lower values."""
    patches = np.arange(len(PATCH_COLOURS)) * _STEP
    patches[0] = -2
    patches[1] = _ENTRIES - 1  # a palette ends with the colour of patch 1, also for all higher values
    patches += _first(cell)
    patches[1] += 4
    return patches[patch_numbers(*SIZES[cell.size], frame)]


def palette(cell: Cell) -> DataSet:
    """Return descriptors and tables of a palette; nothing for other cells."""
    if cell.colour not in PALETTES:
        return {}
    wide = "16" in cell.colour
    first = _first(cell)
    descriptor = np.array([_ENTRIES, first & 0xFFFF, 16 if wide else 8], np.uint16)
    elements: dict[int, tuple[str, Any]] = {}
    for sample in range(3):
        stops = [colour[sample] for colour in PATCH_COLOURS]
        elements[0x00281101 + sample] = ("SS" if first < 0 else "US"), descriptor
        if cell.colour.startswith("segmented"):
            elements[0x00281221 + sample] = "OW", _segments(stops, wide=wide)
        else:
            elements[0x00281201 + sample] = "OW", _table(cell.colour, stops)
    return elements


def _table(level: str, stops: list[int]) -> Values | bytes:
    """Return the entries in the way of the level. They change linearly from each colour to the next."""
    ends = [*stops, stops[1]]
    entries = np.round(np.interp(np.arange(_ENTRIES), np.arange(len(ends)) * _STEP, ends)).astype(np.uint16)
    if level in ("palette8", "palette_said16_bytes"):
        return entries.astype(np.uint8).tobytes() + b"\0" * (_ENTRIES % 2)
    if level in ("palette_said8_low", "palette_said16_low"):
        return entries
    return entries << 8 if level == "palette_said8_high" else entries * np.uint16(257)


def _segments(stops: list[int], *, wide: bool) -> Values | bytes:
    """Return one discrete segment, linear ones, and at the end an indirect one: a copy of the first linear one.

    The offset of the indirect segment counts bytes (PS3.3 C.7.9.2.3).
    """
    factor = 257 if wide else 1
    linear = [word for stop in stops[1:] for word in (1, _STEP, stop * factor)]
    words = [0, 1, stops[0] * factor, *linear, 2, 1]
    if wide:
        return np.array([*words, 2 * 3, 0], np.uint16)
    raw = bytes([*words, 3, 0, 0, 0])
    return raw + b"\0" * (len(raw) % 2)
