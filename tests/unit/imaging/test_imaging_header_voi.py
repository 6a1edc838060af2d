"""The choice among the tables and windows of a header, one condition at a time."""

import struct

import pytest
from explicit_elements import data_set, element, numbers, sequence

from imaging.header_voi import Voi, read_voi
from imaging.lookup_table import ValueRange
from imaging.voi import Lut, Ramp, Sigmoid

CENTER, WIDTH, FUNCTION, TABLES = 0x00281050, 0x00281051, 0x00281056, 0x00283010
DESCRIPTOR, DATA = 0x00283002, 0x00283006
RANGE = ValueRange(0, 3)
NO_DATA = "LUTData (0028,3006) of a lookup table is missing or empty."
NOT_THREE = "LUTDescriptor (0028,3002) of a lookup table does not have three values."
UNUSABLE = "The center and width of the window (0028,1050) are not usable numbers, or the width is not positive."
INCOMPLETE = "The window (0028,1050) lacks its center or its width."
WHOLE = numbers(DESCRIPTOR, 2, 0, 8) + element(DATA, "OW", b"\x01\x02")
WITHOUT_DATA = numbers(DESCRIPTOR, 2, 0, 8)
WITHOUT_FIRST = numbers(DESCRIPTOR, 2, 0) + element(DATA, "OW", b"\x01\x02")
CUT = element(DESCRIPTOR, "US", b"\x02\x00", length=900)
LUT = Lut(first=0, bits=8, entries=b"\x01\x00\x02\x00")


def voi_of(*elements: bytes) -> Voi:
    """Return the VOI of a data set with these elements."""
    return read_voi(data_set(*elements), 2, lambda: RANGE)


def window(center: str, width: str, function: str = "") -> bytes:
    """Return the elements of a window."""
    texts = element(CENTER, "DS", center) + element(WIDTH, "DS", width)
    return texts + (element(FUNCTION, "CS", function) if function else b"")


WINDOW, RAMP = window("10", "5"), Ramp(low=7.5, high=11.5)
"""LINEAR: from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2 (PS3.3 C.11.2.1.2.1)."""


def tables(*items: bytes) -> bytes:
    """Return a VOI LUT Sequence."""
    return sequence(TABLES, items)


def test_a_header_without_voi() -> None:
    """There is neither a mapping nor a fault."""
    assert read_voi(None, 2, lambda: RANGE) == (None, "", "")
    assert voi_of() == (None, "", "")
    assert voi_of(tables()) == (None, "", "")
    assert voi_of(tables(b"")) == (None, "", "")


def test_the_range_of_the_values_is_only_asked_for_tables() -> None:
    """To find it may mean to read the groups of all frames."""

    def unneeded() -> ValueRange:
        raise AssertionError

    assert read_voi(data_set(WINDOW), 2, unneeded) == (RAMP, "", "")


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((WHOLE,), (LUT, "", "")),
        ((b"", WHOLE), (LUT, "", "")),
        ((WITHOUT_DATA, WHOLE), (LUT, "", "")),
        ((WHOLE, WITHOUT_DATA), (LUT, "", "")),
        ((WHOLE, CUT), (LUT, "", "")),
        ((WITHOUT_DATA,), (RAMP, NO_DATA, "")),
        ((WITHOUT_DATA, WITHOUT_FIRST), (RAMP, NO_DATA, "")),
        ((WITHOUT_FIRST, WITHOUT_DATA), (RAMP, NOT_THREE, "")),
        ((WITHOUT_FIRST, CUT), (RAMP, NOT_THREE, "")),
        ((b"",), (RAMP, "", "")),
    ],
    ids=[
        *("whole", "empty and whole", "bad and whole", "whole and bad", "whole and cut"),
        *("bad", "two bad", "two bad in reverse", "bad and cut", "empty"),
    ],
)
def test_the_first_usable_table_else_the_window(
    items: tuple[bytes, ...], expected: tuple[Lut | Ramp, str, str]
) -> None:
    """If no table can be used, the fault of the first one is told beside the window."""
    assert voi_of(WINDOW, tables(*items)) == expected


def test_a_cut_sequence_is_a_fault() -> None:
    """The error of the reader is told."""
    found = voi_of(WINDOW, tables(CUT))
    assert found.mapping == RAMP
    assert found.fault.startswith("The file ends within LUTDescriptor (0028,3002)")


def test_the_note_of_a_table_is_kept() -> None:
    """Four entries are said and three are there; values above 2 do not occur."""
    entries = struct.pack("<3H", 0, 9, 4095)
    item = numbers(DESCRIPTOR, 4, 0, 12) + element(DATA, "OW", entries)
    found = read_voi(data_set(tables(item)), 2, lambda: ValueRange(0, 2))
    note = "LUTData (0028,3006) of a lookup table has 3 of 4 entries."
    assert found == (Lut(first=0, bits=12, entries=entries), "", note)


def test_an_unusable_table_without_a_window() -> None:
    """There is a fault and no mapping."""
    assert voi_of(tables(WITHOUT_DATA)) == (None, NO_DATA, "")


@pytest.mark.parametrize(
    ("center", "width", "expected"),
    [
        ("10", "5", (RAMP, "", "")),
        ("", "", (None, "", "")),
        (" ", "\\", (None, "", "")),
        ("10", "", (None, INCOMPLETE, "")),
        ("", "5", (None, INCOMPLETE, "")),
        ("x", "5", (None, UNUSABLE, "")),
        ("10", "x", (None, UNUSABLE, "")),
        ("10", "0", (None, UNUSABLE, "")),
        ("10", "-5", (None, UNUSABLE, "")),
        ("inf", "5", (None, UNUSABLE, "")),
        ("nan", "5", (None, UNUSABLE, "")),
        ("x", "5\\6", (None, UNUSABLE, "")),
        ("10", "inf", (None, UNUSABLE, "")),
        ("1e15", "1", (Ramp(low=999999999999999.5, high=999999999999999.5), "", "")),
        ("1.001e15", "1", (None, UNUSABLE, "")),
        ("-1.001e15", "1", (None, UNUSABLE, "")),
        ("0.5", "1.001e15", (None, UNUSABLE, "")),
        ("1e16\\10", "9\\5", (RAMP, "", "")),
        ("9\\10", "0\\5", (RAMP, "", "")),
        ("10\\20", "5\\30", (RAMP, "", "")),
    ],
)
def test_the_first_window_that_is_usable(center: str, width: str, expected: tuple[Ramp | None, str, str]) -> None:
    """Numbers up to 1e15 are usable, and widths above zero."""
    assert voi_of(window(center, width)) == expected


@pytest.mark.parametrize(
    ("center", "width", "note"),
    [
        ("10\\20", "5", "different numbers of centers (2) and widths (1)"),
        ("10", "5\\6\\7", "different numbers of centers (1) and widths (3)"),
        ("x\\10", "9\\5", "different numbers of centers (1) and widths (2)"),
        ("9\\10", "x\\5", "different numbers of centers (2) and widths (1)"),
        ("10\\x", "5\\x", ""),
    ],
)
def test_another_number_of_centers_than_of_widths_is_noted(center: str, width: str, note: str) -> None:
    """Only numbers count."""
    text = f"The window (0028,1050) has {note}; the first pair was used." if note else ""
    assert voi_of(window(center, width)) == (RAMP, "", text)


def test_the_function_of_the_window() -> None:
    """LINEAR_EXACT is from center - width / 2 to center + width / 2."""
    assert voi_of(window("10", "5", "SIGMOID")).mapping == Sigmoid(center=10, width=5)
    assert voi_of(window("10", "5", "LINEAR_EXACT")).mapping == Ramp(low=7.5, high=12.5)


@pytest.mark.parametrize(
    ("vr", "code"),
    [("US", "H"), ("SS", "h"), ("UL", "I"), ("SL", "i"), ("UV", "Q"), ("SV", "q"), ("FL", "f"), ("FD", "d")],
)
def test_a_window_may_be_written_in_binary(vr: str, code: str) -> None:
    """The standard has DS, and some writers another VR."""
    center, width = (element(tag, vr, struct.pack(f"<{code}", n)) for tag, n in ((CENTER, 10), (WIDTH, 5)))
    assert voi_of(center, width) == (RAMP, "", "")


def test_a_binary_number_that_is_none_is_a_fault() -> None:
    """NaN, and a length of three bytes."""
    not_a_number = element(CENTER, "FD", struct.pack("<d", float("nan")))
    assert voi_of(not_a_number, element(WIDTH, "DS", "5")) == (None, UNUSABLE, "")
    three = element(CENTER, "US", b"\x0a\x00\x0a\x00", length=3)
    assert voi_of(three[:-1], element(WIDTH, "DS", "5")) == (None, UNUSABLE, "")
