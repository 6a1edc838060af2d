"""Faults in the VOI of a header: tables cut short, entries beyond their bits, windows whose lists differ, NaN."""

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.sequence import Sequence
from voi_files import lut, shown, with_texts, words

LUT_DATA = "LUTData (0028,3006) of a lookup table"
RAMP = np.array([[0, 1, 2, 3]], np.uint16)
"""Four stored values, so that tables of four entries are tried with one pixel for each entry."""


def test_a_table_that_lacks_entries_cannot_be_used(make_dicom: MakeDicom) -> None:
    """1,024 of 4,096 entries: all values beyond would have the brightness of the last one."""
    stored = np.array([[0, 819, 4095]], np.uint16)
    tables = Sequence([lut([4096, 0, 12], words(*range(1024)))])

    values, remarks = shown(make_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=tables))

    assert values == pytest.approx([0, 0.2, 1], abs=1e-6)
    assert remarks.words == "voi_not_used"
    assert remarks.detail == f"{LUT_DATA} has 1,024 of 4,096 entries. The full range was used."


def test_missing_entries_that_no_pixel_can_need_are_only_said(make_dicom: MakeDicom) -> None:
    """The descriptor says 65,536 entries; those of the 12 stored bits are there."""
    stored = np.array([[0, 819, 4095]], np.uint16)
    tables = Sequence([lut([0, 0, 12], words(*range(4095, -1, -1)))])

    values, remarks = shown(make_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=tables))

    assert values == pytest.approx([1, 0.8, 0], abs=1e-6)
    assert remarks.words == "partly_used"


def test_a_table_of_words_cut_to_half_is_not_one_of_bytes(make_dicom: MakeDicom) -> None:
    """4,096 bytes for 4,096 entries that are said to have 16 bits: half of a table of words."""
    stored = np.array([[0, 819, 4095]], np.uint16)
    half = words(*range(0, 65536, 16))[:4096]
    tables = Sequence([lut([4096, 0, 16], half)])

    values, remarks = shown(make_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=tables))

    assert values == pytest.approx([0, 0.2, 1], abs=1e-6)
    assert remarks.words == "voi_not_used"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([*range(100), 0xF064, *range(101, 4096)], [0, 0.2, 1]),
        ([*range(1, 4097)], [1 / 4095, 820 / 4095, 1]),
        ([*range(2048), *[4096] * 2048], [0, 0.2, 1]),
    ],
    ids=["one with other bits", "one too high", "half of them one too high"],
)
def test_entries_beyond_the_said_bits_do_not_darken_the_others(
    make_dicom: MakeDicom, entries: list[int], expected: list[float]
) -> None:
    """12 bits are said: such entries are clipped to 4095, and the row says so."""
    stored = np.array([[0, 819, 4095]], np.uint16)
    tables = Sequence([lut([4096, 0, 12], words(*entries))])

    values, remarks = shown(make_dicom(stored, BitsStored=12, HighBit=11, VOILUTSequence=tables))

    assert values == pytest.approx(expected, abs=1e-6)
    assert remarks.words == "partly_used"
    assert remarks.detail is not None
    assert "more than 12 bits" in remarks.detail


def test_entries_most_of_which_have_more_bits_than_said_decide(make_dicom: MakeDicom) -> None:
    """10 bits are said, and the entries rise to 12."""
    tables = Sequence([lut([4, 0, 10], words(0, 1365, 2730, 4095))])

    values, remarks = shown(make_dicom(RAMP, VOILUTSequence=tables))

    assert values == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-6)
    assert remarks.words == "partly_used"


def test_nan_beside_a_voi_lut_is_black(make_dicom: MakeDicom) -> None:
    """Float pixels that are no numbers have the value 0, and raise no IndexError."""
    data = make_dicom(
        RAMP,
        PixelData=None,
        HighBit=None,
        BitsAllocated=32,
        BitsStored=None,
        PixelRepresentation=None,
        FloatPixelData=np.array([0, 1, np.nan, 3], "<f4").tobytes(),
        VOILUTSequence=Sequence([lut([4, 0, 8], bytes([255, 51, 102, 255]))]),
    )

    values, _ = shown(data)

    assert values == pytest.approx([1, 0.2, 0, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("center", "width"),
    [(b"\\1.5", b"9\\4"), (b"1.5\\", b"4\\9"), (b"1.5\\7", b"4"), (b"1.5", b"4\\9")],
)
def test_a_center_goes_with_the_width_at_its_position(make_dicom: MakeDicom, center: bytes, width: bytes) -> None:
    """An empty value keeps its position; another number of centers than of widths is said."""
    data = make_dicom(RAMP, WindowCenter="11111111", WindowWidth="22222222")

    values, remarks = shown(with_texts(data, center, width))

    assert values == pytest.approx([1 / 6, 0.5, 5 / 6, 1], abs=1e-6)
    assert remarks.words == "partly_used"


def test_a_value_with_an_underscore_is_no_number_in_a_list_either(make_dicom: MakeDicom) -> None:
    """Python would read "1_0" as 10. The second pair has numbers: 1.5 and 4 (LINEAR: black at 0, white at 3)."""
    data = make_dicom(RAMP, WindowCenter="11111111", WindowWidth="22222222")

    values, _ = shown(with_texts(data, b"1_0\\1.5", b"2\\4"))

    assert values == pytest.approx([1 / 6, 0.5, 5 / 6, 1], abs=1e-6)


def test_empty_values_in_both_lists_are_no_fault(make_dicom: MakeDicom) -> None:
    """Neither has a first value."""
    data = make_dicom(RAMP, WindowCenter="11111111", WindowWidth="22222222")

    values, remarks = shown(with_texts(data, b"\\1.5", b"\\4"))

    assert values == pytest.approx([1 / 6, 0.5, 5 / 6, 1], abs=1e-6)
    assert not remarks
