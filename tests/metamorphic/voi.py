"""Write VOI transforms in each way of the matrix, with the display values that PS3.3 C.11.2 gives for them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metamorphic.axes import Cell
from metamorphic.elements import DataSet
from metamorphic.modality import LUT_DATA, LUT_DESCRIPTOR, Modality, Values, stored_range

CENTER, WIDTH, FUNCTION, VOI_LUT = 0x00281050, 0x00281051, 0x00281056, 0x00283010
UNUSABLE = ("width_zero", "width_absent", "nan", "lut_empty")
_FUNCTIONS = {"linear_exact": "LINEAR_EXACT", "sigmoid": "SIGMOID", "several": "LINEAR"}
_WIDTHS = {"sigmoid": 0.3, "narrow": 0.5}
_LUT_BITS = {"lut8": 8, "lut8_words": 8, "lut8_said16": 8, "lut12": 12, "lut12_said16": 12}
_STORAGE = ("lut8_said16", "lut12_said16")
"""Levels whose descriptor gives the size of the words that hold the entries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voi:
    """One VOI transform: its elements, and the function from modality values to display values in [0, 1]."""

    shown: Callable[[Values], Values]
    elements: DataSet = field(default_factory=dict)


def voi(cell: Cell, transform: Modality, frame: int) -> Voi:
    """Return the VOI of one frame, which is fitted to the range of its modality values."""
    low, high = transform.low, transform.high
    if cell.voi in ("none", "empty") or cell.voi in UNUSABLE:
        # PS3.3 C.11.2 gives no mapping then; the matrix expects the whole range that the pixels can have.
        return Voi(shown=lambda values: (values - low) / (high - low), elements=_without_effect(cell, low, high))
    if "lut" in cell.voi:
        return _table(cell, transform)
    return _window(cell, low, high, frame)


def _without_effect(cell: Cell, low: float, high: float) -> DataSet:
    center = _number((low + high) / 2, cell)
    table = {LUT_DESCRIPTOR: ("US", [256, 0, 16]), LUT_DATA: ("OW", b"")}
    return {
        "none": {},
        "empty": {CENTER: ("DS", ""), WIDTH: ("DS", "")},
        "width_zero": {CENTER: ("DS", center), WIDTH: ("DS", "0")},
        "width_absent": {CENTER: ("DS", center)},
        "nan": {CENTER: ("DS", "NaN"), WIDTH: ("DS", "NaN")},
        "lut_empty": {VOI_LUT: ("SQ", [table])},
    }[cell.voi]


def _window(cell: Cell, low: float, high: float, frame: int) -> Voi:
    span = high - low
    shift = 0.05 * frame if cell.voi == "per_frame" else 0.0
    center = float(f"{low + (0.55 - shift) * span:.6g}")
    width = float(f"{_WIDTHS.get(cell.voi, 0.6) * span:.6g}")
    if cell.voi == "narrow":
        width = min(width, 0.5)
    elif cell.voi == "one_wide":
        width = 1.0
    texts = _number(center, cell), _number(width, cell)
    if cell.voi == "several":
        texts = f"{texts[0]}\\{_number(low, cell)}", f"{texts[1]}\\{_number(span / 7, cell)}"
    elements: dict[int, tuple[str, Any]] = {CENTER: ("DS", texts[0]), WIDTH: ("DS", texts[1])}
    function = _FUNCTIONS.get(cell.voi)
    if function is not None:
        elements[FUNCTION] = "CS", function
    return Voi(shown=_formula(function, center, width), elements=elements)


def _formula(function: str | None, center: float, width: float) -> Callable[[Values], Values]:
    """Return the function of PS3.3 C.11.2.1.2 and C.11.2.1.3, for outputs from 0 to 1.

    LINEAR is defined for widths of at least 1; below, it means LINEAR_EXACT.
    """
    if function == "SIGMOID":
        return lambda values: 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR_EXACT" or width < 1:
        return lambda values: _pieces(values, center - width / 2, center + width / 2, (values - center) / width + 0.5)
    bottom, top = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    slope = width - 1 or math.inf
    return lambda values: _pieces(values, bottom, top, (values - (center - 0.5)) / slope + 0.5)


def _pieces(values: Values, bottom: float, top: float, between: Values) -> Values:
    return np.where(values <= bottom, 0.0, np.where(values > top, 1.0, between))


def _table(cell: Cell, transform: Modality) -> Voi:
    bits = _LUT_BITS.get(cell.voi, 16)
    signed = transform.table is None and (transform.low < 0 or stored_range(cell)[0] < 0)
    first, count = _extent(cell, transform, signed=signed)
    inputs = first + np.arange(count)
    start, end = (first, first + count - 1)
    if cell.voi == "lut65536":  # longer than the range of its inputs
        start, end = max(start, math.ceil(transform.low)), min(end, math.floor(transform.high))
    curve = np.clip((inputs - start) / (end - start), 0, 1) ** 0.8
    entries = np.round(((1 << bits) - 1) * curve).astype(np.uint16)
    said = 16 if cell.voi in _STORAGE else bits
    descriptor = np.array([count & 0xFFFF, first & 0xFFFF, said], np.uint16)
    sign = "SS" if signed and cell.voi != "lut_said_us" else "US"
    data = entries.astype(np.uint8).tobytes() if cell.voi == "lut8" else entries
    item = {
        LUT_DESCRIPTOR: (sign, descriptor),
        LUT_DATA: ("US" if cell.voi == "lut16_us" else "OW", data),
    }
    elements: dict[int, tuple[str, Any]] = {VOI_LUT: ("SQ", [item])}
    if cell.voi == "luts":
        elements[VOI_LUT][1].append({LUT_DESCRIPTOR: item[LUT_DESCRIPTOR], LUT_DATA: ("OW", entries[::-1].copy())})
    if cell.voi == "lut_and_window":
        elements |= {CENTER: ("DS", _number(transform.low, cell)), WIDTH: ("DS", "2")}

    def shown(values: Values) -> Values:
        index = np.clip(np.floor(values + 0.5).astype(np.int64) - first, 0, count - 1)
        return entries[index] / ((1 << bits) - 1)

    return Voi(shown=shown, elements=elements)


def _extent(cell: Cell, transform: Modality, *, signed: bool) -> tuple[int, int]:
    """Return the first value that the table maps, and the number of its entries."""
    if cell.voi == "lut65536":
        return (-32768 if signed else 0), 65536
    low, span = math.ceil(transform.low), transform.high - transform.low
    first = min(max(low + max(1, min(int(0.15 * span), 40)), -32768), 32767 if signed else 65535)
    most = 32_000 if cell.voi == "lut16_us" else 40_000
    return first, max(2, min(int(0.7 * span), most, 65535))


def _number(value: float, cell: Cell) -> str:
    text = f"{value:.6g}"
    if cell.slip != "comma":
        return text
    return text.replace(".", ",") if "." in text else f"{text},0"
