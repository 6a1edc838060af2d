"""Write modality transforms in each way of the matrix, with the values that PS3.3 C.11.1 gives for them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metamorphic.axes import BITS, Cell
from metamorphic.elements import DataSet

Values = np.ndarray[Any, np.dtype[Any]]

INTERCEPT, SLOPE = 0x00281052, 0x00281053
MODALITY_LUT, LUT_DESCRIPTOR, MODALITY_LUT_TYPE, LUT_DATA = 0x00283000, 0x00283002, 0x00283004, 0x00283006
IN_GROUPS = ("shared", "per_frame")
"""Levels whose elements are in functional groups (PS3.3 C.7.6.16.2.9)."""
_SAMPLED = 4097


@dataclass(frozen=True, kw_only=True, slots=True)
class Modality:
    """One modality transform: its elements, and the range of its outputs."""

    elements: DataSet = field(default_factory=dict)
    slope: float = 1.0
    intercept: float = 0.0
    table: Values | None = None
    first: int = 0
    low: float = 0.0
    high: float = 0.0

    def __call__(self, stored: Values) -> Values:
        """Return the modality values of stored values."""
        if self.table is not None:
            return self.table[np.clip(stored.astype(np.int64) - self.first, 0, len(self.table) - 1)].astype(np.float64)
        return stored.astype(np.float64) * self.slope + self.intercept


def stored_range(cell: Cell) -> tuple[float, float]:
    """Return the lowest and the highest value that the stored bits can hold; for floats those of the picture."""
    bits = BITS[cell.bits]
    if bits.floating:
        return -50.0, 150.0
    if cell.sign == "signed":
        return -(1 << bits.stored - 1), (1 << bits.stored - 1) - 1
    return 0, (1 << bits.stored) - 1


def candidates(cell: Cell) -> Values:
    """Return the stored values of which the picture consists: all of them up to 16 bits, else a selection."""
    low, high = stored_range(cell)
    bits = BITS[cell.bits]
    if bits.floating:
        return np.linspace(low, high, _SAMPLED).astype(f"f{bits.allocated // 8}")
    if bits.stored > 16:
        return np.unique(np.linspace(low, high, _SAMPLED).astype(np.int64))
    return np.arange(int(low), int(high) + 1)


def modality(cell: Cell, frame: int) -> Modality:
    """Return the transform of one frame. Elements for functional groups are in `elements` too."""
    low, high = stored_range(cell)
    if cell.modality.startswith("lut"):
        return _table(cell, int(low), int(high))
    slope, intercept = _rescale(cell.modality, low, high, frame)
    elements: dict[int, tuple[str, Any]] = {}
    if slope is not None:
        elements[SLOPE] = "DS", _decimal(slope, cell)
    if intercept is not None:
        elements[INTERCEPT] = "DS", _decimal(intercept, cell)
    factor, summand = float(slope or 1), float(intercept or 0)
    ends = sorted((low * factor + summand, high * factor + summand))
    return Modality(elements=elements, slope=factor, intercept=summand, low=ends[0], high=ends[1])


def _rescale(level: str, low: float, high: float, frame: int) -> tuple[str | None, str | None]:
    """Return the texts of slope and intercept; None leaves the element out."""
    if level == "per_frame":
        return ("1.5", "2", "0.5")[frame], ("-100", "20", "-7")[frame]
    return {
        "none": (None, None),
        "rescale": ("1.5", "-100"),
        "shared": ("1.5", "-100"),
        "falling": ("-1", f"{int(high) if low == 0 else -1}"),
        "tiny": (f"{0.4 / (high - low):.3e}", "0"),
        "empty": ("", ""),
        "intercept_only": (None, "-20"),
    }[level]


def _decimal(text: str, cell: Cell) -> str:
    if cell.slip != "comma" or not text:
        return text
    return text.replace(".", ",") if "." in text else f"{text},0"


def _table(cell: Cell, low: int, high: int) -> Modality:
    """Return a falling, curved lookup table over all stored values."""
    bits = 8 if cell.modality == "lut8" else 16
    top = (1 << bits) - 1
    entries = np.round(top * (1 - np.linspace(0, 1, high - low + 1) ** 0.8)).astype(np.uint16)
    data = entries.astype(np.uint8).tobytes() if bits == 8 else entries
    descriptor = np.array([len(entries) & 0xFFFF, low & 0xFFFF, bits], np.uint16)
    item = {
        LUT_DESCRIPTOR: ("SS" if low < 0 else "US", descriptor),
        MODALITY_LUT_TYPE: ("LO", b"US"),
        LUT_DATA: ("OW", data),
    }
    beside = {"lut_identity": ("1", "0"), "lut_empty": ("", ""), "lut_other": ("2", "-1000")}.get(cell.modality)
    elements: dict[int, tuple[str, Any]] = {MODALITY_LUT: ("SQ", [item])}
    if beside is not None:
        elements |= {SLOPE: ("DS", beside[0]), INTERCEPT: ("DS", beside[1])}
    return Modality(elements=elements, table=entries, first=low, low=0, high=top)
