"""Parts of a header that change the picture and that nightread does not apply, and padding that cannot be padding."""

from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import ImplicitVRLittleEndian
from voi_files import lut, shown, words

from imaging.read import read

SHAPE = "PresentationLUTShape (2050,0020) contradicts PhotometricInterpretation (0028,0004), which was used."
ROW = np.array([[0, 100, 2000, 4095]], np.uint16)
TWELVE: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
GREYS = [0, 100 / 4095, 2000 / 4095, 1]


@pytest.mark.parametrize(
    ("photometric", "shape", "detail"),
    [
        ("MONOCHROME2", "INVERSE", SHAPE), ("MONOCHROME1", "IDENTITY", SHAPE),
        ("MONOCHROME2", "IDENTITY", None), ("MONOCHROME1", "INVERSE", None), ("MONOCHROME2", "LIN OD", None),
    ],
)  # fmt: skip
def test_a_shape_that_contradicts_the_photometric_interpretation(
    make_dicom: MakeDicom, photometric: str, shape: str, detail: str | None
) -> None:
    """Programs do not agree which of the two inverts the picture."""
    data = make_dicom(ROW, PhotometricInterpretation=photometric, PresentationLUTShape=shape, **TWELVE)
    values, remarks = shown(data)
    assert values == pytest.approx(GREYS if photometric == "MONOCHROME2" else [1 - grey for grey in GREYS], abs=1e-6)
    assert remarks.detail == detail


def test_colours_have_no_shape(make_dicom: MakeDicom) -> None:
    """It concerns grey values."""
    colours = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    sizes = {"Rows": 1, "Columns": 2, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    image = read(make_dicom(bytes(6), PresentationLUTShape="INVERSE", **colours, **sizes))
    assert [frame.stored.max() for frame in image.frames()] == [0]
    assert image.remarks.detail is None


def test_a_presentation_lookup_table(make_dicom: MakeDicom) -> None:
    """It belongs into a presentation state."""
    data = make_dicom(ROW, PresentationLUTSequence=[lut([2, 0, 8], words(1, 0))], **TWELVE)
    assert shown(data)[1].detail == "PresentationLUTSequence (2050,0010) was not applied."


@pytest.mark.parametrize("length", [2, 0])
def test_the_retired_table_of_greys(make_dicom: MakeDicom, length: int) -> None:
    """An empty element asks for nothing; nor does an empty sequence."""
    data = make_dicom(ROW, PresentationLUTSequence=[], **TWELVE)
    table = b"\x28\0\0\x12US" + bytes([length, 0]) + bytes(length)
    pixels = data.index(b"\xe0\x7f\x10\0OW")
    detail = shown(data[:pixels] + table + data[pixels:])[1].detail
    assert detail == ("GrayLookupTableData (0028,1200) was not applied." if length else None)


def test_colours_without_a_palette_are_greys(make_dicom: MakeDicom) -> None:
    """PixelPresentation alone names no colours."""
    assert shown(make_dicom(ROW, PixelPresentation="COLOR", **TWELVE))[1].detail is None


@pytest.mark.parametrize(
    ("presentation", "words_"), [("COLOR", "partly_used"), ("MIXED", "partly_used"), ("MONOCHROME", None), (None, None)]
)
def test_a_supplemental_palette(make_dicom: MakeDicom, presentation: str | None, words_: str | None) -> None:
    """Some stored values mean colours."""
    palette = {f"{name}PaletteColorLookupTableDescriptor": [256, 256, 8] for name in ("Red", "Green", "Blue")}
    own = {} if presentation is None else {"PixelPresentation": presentation}
    assert shown(make_dicom(ROW, **TWELVE, **palette, **own))[1].words == words_


@pytest.mark.parametrize(
    ("low", "high", "ignored"), [(0, 4095, True), (4095, 0, True), (0, 2048, True), (0, 2047, False)]
)
def test_a_padding_range_of_more_than_half_of_all_values(
    make_dicom: MakeDicom, low: int, high: int, ignored: bool
) -> None:
    """Its writer gave the range of the pixels: the picture would be black."""
    values, remarks = shown(make_dicom(ROW, PixelPaddingValue=low, PixelPaddingRangeLimit=high, **TWELVE))
    assert values == pytest.approx(GREYS if ignored else [0, 0, 0, 1], abs=1e-6)
    detail = "PixelPaddingRangeLimit (0028,0121) declares more than half of all values as padding; it was ignored."
    assert remarks.detail == (detail if ignored else None)


def test_padding_of_32_bits(make_dicom: MakeDicom) -> None:
    """The lowest value of 32 bits ends with 16 zero bits: 0 is no padding then."""
    data = make_dicom(np.array([[0, 2**31 - 1]], np.int32), HighBit=31, PixelPaddingValue=-1)
    short = b"\x28\0\x20\1SS\2\0\xff\xff"
    assert short in data
    assert shown(data)[0] == pytest.approx([0.5, 1], abs=1e-6)
    long = short[:4] + b"SL\4\0" + (-(2**31)).to_bytes(4, "little", signed=True)
    assert shown(data.replace(short, long))[0] == pytest.approx([0.5, 1], abs=1e-6)


def test_padding_of_32_bits_without_a_vr(make_dicom: MakeDicom) -> None:
    """The length of the value tells its size."""
    pixels = np.array([[0, 2**31 - 1]], np.int32)
    data = make_dicom(pixels, HighBit=31, PixelPaddingValue=-1, syntax=ImplicitVRLittleEndian)
    short = b"\x28\0\x20\1\2\0\0\0\xff\xff"
    assert short in data
    assert shown(data)[0] == pytest.approx([0.5, 1], abs=1e-6)
    long = short[:4] + b"\4\0\0\0" + (-(2**31)).to_bytes(4, "little", signed=True)
    assert shown(data.replace(short, long))[0] == pytest.approx([0.5, 1], abs=1e-6)


def test_two_paddings_of_16_bits_without_a_vr(make_dicom: MakeDicom) -> None:
    """Four bytes beside pixels of 16 bits: the first number counts."""
    data = make_dicom(ROW, PixelPaddingValue=[100, 7], syntax=ImplicitVRLittleEndian, **TWELVE)
    assert shown(data)[0] == pytest.approx([0, 0, 2000 / 4095, 1], abs=1e-6)


@pytest.mark.parametrize("begin", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0"])
def test_a_preamble_that_begins_like_a_picture(make_dicom: MakeDicom, begin: bytes) -> None:
    """The preamble is free for such uses (PS3.10 section 7.1)."""
    data = make_dicom(ROW, **TWELVE)
    assert read(begin.ljust(128, b"\0") + data[128:]).frame_count == 1


@pytest.mark.parametrize(
    ("function", "expected", "detail"),
    [
        ("LINEAR_EXACT", 0.5, None), ("LINEAR EXACT", 0.5, None), ("", 1, None),
        ("LOG", 1, "VOILUTFunction (0028,1056) is unknown; LINEAR was used."),
    ],
)  # fmt: skip
def test_functions_of_a_window(make_dicom: MakeDicom, function: str, expected: float, detail: str | None) -> None:
    """LINEAR with a width of 1 has no grey: values above center - 0.5 are white."""
    data = make_dicom(ROW, WindowCenter="100", WindowWidth="1", VOILUTFunction=function, **TWELVE)
    values, remarks = shown(data)
    assert (values[1], remarks.detail) == (pytest.approx(expected), detail)
