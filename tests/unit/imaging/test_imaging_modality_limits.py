"""The limits of rescales and modality lookup tables, on both sides."""

import struct

import pytest
from explicit_elements import data_set, element, numbers, sequence
from pixel_layouts import pixel_layout

from imaging.elements import Elements
from imaging.lookup_table import ValueRange
from imaging.modality import Modality, bounded, read_lut, read_modality, stored_range
from imaging.pixel_layout import PixelLayout
from imaging.tags import FLOAT_PIXEL_DATA
from imaging.voi import Lut
from imaging.walk import HeaderError
from nightread.errors import RejectImage
from nightread.reasons import Reason

SLOPE, INTERCEPT, TABLES, DESCRIPTOR, DATA = 0x00281053, 0x00281052, 0x00283000, 0x00283002, 0x00283006
TWELVE = pixel_layout(bits_stored=12)
SIGNED = pixel_layout(bits_stored=12, signed=True)
FLOATS = pixel_layout(pixel_tag=FLOAT_PIXEL_DATA)
NO_DATA = "LUTData (0028,3006) of a lookup table is missing or empty."


def rescale(slope: str = "", intercept: str = "") -> Elements:
    """Return a data set with a rescale; empty values are left out."""
    texts = ((INTERCEPT, intercept), (SLOPE, slope))
    return data_set(*(element(tag, "DS", text) for tag, text in texts if text))


def words(*values: int) -> bytes:
    """Return LUT Data."""
    return element(DATA, "OW", struct.pack(f"<{len(values)}H", *values))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (pixel_layout(), (0, 65535)),
        (TWELVE, (0, 4095)),
        (SIGNED, (-2048, 2047)),
        (pixel_layout(bits_stored=1), (0, 1)),
        (FLOATS, (-1e15, 1e15)),
        (pixel_layout(pixel_tag=FLOAT_PIXEL_DATA, signed=True), (-1e15, 1e15)),
    ],
)
def test_the_range_of_stored_values(layout: PixelLayout, expected: tuple[float, float]) -> None:
    """It is that of BitsStored bits, with or without a sign."""
    assert stored_range(layout) == expected


@pytest.mark.parametrize(
    ("modality", "layout", "expected"),
    [
        (Modality(), TWELVE, (0, 4095)),
        (Modality(slope=2, intercept=-1000), TWELVE, (-1000, 7190)),
        (Modality(slope=-2, intercept=10), TWELVE, (-8180, 10)),
        (Modality(slope=-1), SIGNED, (-2047, 2048)),
        (Modality(lut=Lut(first=7, bits=9, entries=b"\x01\x00")), SIGNED, (0, 511)),
    ],
)
def test_the_range_of_modality_values(modality: Modality, layout: PixelLayout, expected: tuple[float, float]) -> None:
    """It is in rising order; that of a table begins at 0."""
    assert modality.outputs(layout) == expected


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [
        ("", "", (1, 0)),
        ("3", "", (3, 0)),
        ("", "-5", (1, -5)),
        ("0", "4", (1, 4)),
        ("-2", "4", (-2, 4)),
        ("1e-20", "", (1e-20, 0)),
        ("-1e-20", "", (-1e-20, 0)),
        ("1e15", "-1e15", (1e15, -1e15)),
    ],
)
def test_the_rescale(slope: str, intercept: str, expected: tuple[float, float]) -> None:
    """An absent slope, or one of zero, is 1; an absent intercept is 0."""
    assert read_modality(rescale(slope, intercept), TWELVE) == (*expected, None)


@pytest.mark.parametrize(
    ("slope", "intercept", "detail"),
    [
        ("0.9e-20", "", "RescaleSlope (0028,1053) is too small."),
        ("-0.9e-20", "", "RescaleSlope (0028,1053) is too small."),
        ("1.1e15", "", "RescaleSlope (0028,1053) is too large."),
        ("-1.1e15", "", "RescaleSlope (0028,1053) is too large."),
        ("", "1.1e15", "RescaleIntercept (0028,1052) is too large."),
        ("2", "-1.1e15", "RescaleIntercept (0028,1052) is too large."),
    ],
)
def test_a_rescale_beyond_the_limits(slope: str, intercept: str, detail: str) -> None:
    """float32 would overflow."""
    with pytest.raises(HeaderError) as caught:
        read_modality(rescale(slope, intercept), TWELVE)
    assert str(caught.value) == detail


def test_a_number_that_is_absent_or_empty_is_none() -> None:
    """Zero is a number."""
    assert bounded(data_set(), SLOPE) is None
    assert bounded(data_set(element(SLOPE, "DS")), SLOPE) is None
    assert bounded(rescale("0"), SLOPE) == 0


def test_a_table_wins_over_the_rescale() -> None:
    """An empty item is no table."""
    item = numbers(DESCRIPTOR, 2, 0, 8) + words(7, 9)
    texts = element(INTERCEPT, "DS", "5") + element(SLOPE, "DS", "2")

    table = Modality(1, 0, Lut(first=0, bits=8, entries=b"\x07\x00\x09\x00"))
    assert read_modality(data_set(texts, sequence(TABLES, [item])), pixel_layout(bits_stored=1)) == table
    assert read_modality(data_set(texts, sequence(TABLES, [b""])), TWELVE) == (2, 5, None)
    assert read_modality(data_set(texts, sequence(TABLES, [])), TWELVE) == (2, 5, None)


def test_the_first_mapped_value_by_the_sign_of_the_stored_values() -> None:
    """65534 is -2 for signed pixels."""
    item = sequence(TABLES, [numbers(DESCRIPTOR, 4, 65534, 16) + words(1, 2, 3, 4)])
    lut = read_modality(data_set(item), SIGNED).lut
    assert lut is not None
    assert lut.first == -2


def lut_of(*elements: bytes, bits: int = 12, high: float = 2) -> Lut | None:
    """Return the table of an item for stored values from 0 to `high`."""
    return read_lut(data_set(*elements), bits, ValueRange(0, high))


def test_an_item_without_descriptor_and_data_is_empty() -> None:
    """So is one with two empty elements."""
    assert lut_of() is None
    assert lut_of(element(DESCRIPTOR, "US"), element(DATA, "OW")) is None


@pytest.mark.parametrize("data", [b"", element(DATA, "OW"), element(DATA, "OW", length=1) + b"\x01"])
def test_a_descriptor_without_entries_is_an_error(data: bytes) -> None:
    """The data are absent, empty, or half of a word."""
    with pytest.raises(RejectImage) as refusal:
        lut_of(numbers(DESCRIPTOR, 4, 0, 16), data)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, NO_DATA)


def test_data_without_descriptor() -> None:
    """As many bytes as stored values are one for each, else there are words."""
    raw = element(DATA, "OB", bytes([9, 8, 7, 6]))
    assert lut_of(raw, bits=2) == Lut(first=0, bits=8, entries=struct.pack("<4H", 9, 8, 7, 6))
    assert lut_of(raw, bits=3, high=1) == Lut(first=0, bits=12, entries=bytes([9, 8, 7, 6]))


@pytest.mark.parametrize(("first", "high", "whole"), [(0, 2, True), (0, 3, False), (1, 3, True), (1, 4, False)])
def test_missing_entries(first: int, high: float, whole: bool) -> None:
    """Three of four are there: the fourth may be missing if no value needs it, and a note says so."""
    elements = numbers(DESCRIPTOR, 4, first, 12), words(0, 7, 4095)
    note = "LUTData (0028,3006) of a lookup table has 3 of 4 entries."
    if whole:
        lut = lut_of(*elements, high=high)
        assert lut is not None
        assert (lut.first, lut.entries, lut.note) == (first, struct.pack("<3H", 0, 7, 4095), note)
        return
    with pytest.raises(RejectImage) as refusal:
        lut_of(*elements, high=high)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, note)


def test_the_notes_of_a_table() -> None:
    """There is none for a whole table; entries beyond the said bits are told, unless others are missing."""
    notes = []
    for entries, values in ((3, (0, 7, 4095)), (3, (0, 7, 4096)), (4, (0, 7, 4096))):
        lut = lut_of(numbers(DESCRIPTOR, entries, 0, 12), words(*values))
        assert lut is not None
        assert (lut.bits, lut.entries) == (12, struct.pack("<3H", 0, 7, 4095))
        notes.append(lut.note)
    name = "LUTData (0028,3006) of a lookup table"
    assert notes == ["", f"{name} has 1 entries of more than 12 bits: clipped.", f"{name} has 3 of 4 entries."]
