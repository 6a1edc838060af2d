"""Headers that break the rules of PS3.5 section 7 without losing anything that the image needs."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from imaging.elements import Elements
from imaging.errors import RejectDicomImage
from imaging.read import read
from imaging.walk import Encoding
from nightread.reasons import Reason

PIXELS = np.arange(16 * 12, dtype=np.uint16).reshape(16, 12)
SAMPLES_PER_PIXEL = b"\x28\x00\x02\x00US"
"""Tag and VR of the first element behind the place of insertion."""
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, number, 0) for number in (0xE000, 0xE00D, 0xE0DD))
OPEN_ITEM = ITEM[:4] + b"\xff\xff\xff\xff"
UNDEFINED = b"\xff\xff\xff\xff"
HISTORY = b"\x10\x00\xb0\x21"
"""Additional Patient History (0010,21B0), VR LT."""
CODE = b"\x08\x00\x00\x01SH\x04\x00ABCD"
"""Code Value (0008,0100), with explicit VR."""
IMPLICIT_CODE = b"\x08\x00\x00\x01\x04\x00\x00\x00ABCD"
SEQUENCE = b"\x18\x00\x12\x00SQ\x00\x00"
"""Contrast/Bolus Agent Sequence (0018,0012), without its length."""
UNKNOWN_SEQUENCE = b"\x18\x00\x12\x00UN\x00\x00"


def item(content: bytes) -> bytes:
    """Return an item of defined length."""
    return ITEM[:4] + struct.pack("<I", len(content)) + content


def inserted(data: bytes, elements: bytes) -> bytes:
    """Return an explicit VR file with these bytes before SamplesPerPixel."""
    at = data.index(SAMPLES_PER_PIXEL)
    return data[:at] + elements + data[at:]


VALUE = struct.pack("<H", 8) + b"G0000000"
LONG_VALUE = b"\x00\x00" + struct.pack("<I", 8) + b"G0000000"
HEADERS = {
    "two dashes": HISTORY + b"--" + VALUE,
    "letters of no VR": HISTORY + b"RE" + VALUE,
    "two spaces": HISTORY + b"  " + VALUE,
    "question marks": HISTORY + b"??" + VALUE,
    "lower case": HISTORY + b"lt" + VALUE,
    "zeros as VR": HISTORY + b"\x00\x00" + VALUE,
    "dashes and a length of four bytes": HISTORY + b"--" + LONG_VALUE,
    "lower case and a length of four bytes": b"\x10\x00\xb0\x21ut" + LONG_VALUE,
    "several invalid VRs": HISTORY + b"--" + VALUE + b"\x10\x00\x00\x40??" + VALUE,
    "an invalid VR of a private element": b"\x11\x00\x10\x00--" + VALUE,
    "a length of two bytes where four belong": b"\x11\x00\x10\x10OB" + VALUE,
    "padding that the length does not count": HISTORY + b"LT\x05\x00ABCDE\x00" + b"\x10\x00\x00\x40LT\x02\x00AB",
    "an odd length without padding": HISTORY + b"LT\x05\x00ABCDE" + b"\x10\x00\x00\x40LT\x02\x00AB",
    "a wrong group length": b"\x10\x00\x00\x00UL\x04\x00\xff\xff\x00\x00" + HISTORY + b"LT" + VALUE,
    "an element with implicit VR": HISTORY + struct.pack("<I", 8) + b"G0000000",
    "a long element with implicit VR": HISTORY + struct.pack("<I", 0x2D2D) + b"G" * 0x2D2D,
    "no sequence delimiter": SEQUENCE + UNDEFINED + item(CODE),
    "no sequence delimiter behind an open item": SEQUENCE + UNDEFINED + OPEN_ITEM + CODE + ITEM_END,
    "an item delimiter for the sequence delimiter": SEQUENCE + UNDEFINED + OPEN_ITEM + CODE + ITEM_END + ITEM_END,
    "no item delimiters": SEQUENCE + UNDEFINED + (OPEN_ITEM + CODE) * 2 + SEQUENCE_END,
    "an item delimiter behind an item of defined length": SEQUENCE + UNDEFINED + item(CODE) + ITEM_END + SEQUENCE_END,
    "an item with a length that is too small": SEQUENCE + UNDEFINED + ITEM[:4] + b"\x04\0\0\0" + CODE + SEQUENCE_END,
    "a sequence with a length that is too large": SEQUENCE + struct.pack("<I", 0x7000) + item(CODE),
    "a sequence with a length that is too small": SEQUENCE + b"\x08\x00\x00\x00" + item(CODE),
    "a delimiter behind a sequence of defined length": SEQUENCE + b"\x14\0\0\0" + item(CODE) + SEQUENCE_END,
    "an invalid VR in an open item": SEQUENCE
    + UNDEFINED
    + OPEN_ITEM
    + HISTORY
    + b"--"
    + VALUE
    + ITEM_END
    + SEQUENCE_END,
    "a UN sequence of undefined length": UNKNOWN_SEQUENCE + UNDEFINED + item(IMPLICIT_CODE) + SEQUENCE_END,
    "an open item in a UN sequence": UNKNOWN_SEQUENCE + UNDEFINED + OPEN_ITEM + IMPLICIT_CODE + ITEM_END + SEQUENCE_END,
    "explicit VR in a UN sequence": UNKNOWN_SEQUENCE + UNDEFINED + OPEN_ITEM + CODE + ITEM_END + SEQUENCE_END,
    "a length that reads like a VR in a UN sequence": (
        UNKNOWN_SEQUENCE + UNDEFINED + OPEN_ITEM + HISTORY + b"LO\0\0" + b"G" * 0x4F4C + ITEM_END + SEQUENCE_END
    ),
    "nested sequences of undefined length": (
        SEQUENCE + UNDEFINED + OPEN_ITEM + SEQUENCE + UNDEFINED + OPEN_ITEM + CODE + (ITEM_END + SEQUENCE_END) * 2
    ),
}


@pytest.mark.parametrize("elements", HEADERS.values(), ids=list(HEADERS))
def test_an_irregular_element_that_nobody_needs_costs_nothing(make_dicom: MakeDicom, elements: bytes) -> None:
    """The elements behind it are found, and the image is that of the regular file."""
    dicom_image = read(inserted(make_dicom(), elements))

    assert np.array_equal(next(dicom_image.frames()).stored, PIXELS)
    assert (dicom_image.facts.rows, dicom_image.facts.columns) == (16, 12)


@pytest.mark.parametrize("size", [300, 1000])
def test_a_large_file_hides_no_invalid_vr(make_dicom: MakeDicom, size: int) -> None:
    """The two-byte length, read as one of four bytes, is less than the file: the walk must not land in the pixels."""
    pixels = np.arange(size * size, dtype=np.uint32).astype(np.uint16).reshape(size, size)
    for vr in (b"--", b"\x00\x00", b"RE"):
        data = inserted(make_dicom(pixels), HISTORY + vr + VALUE)
        assert np.array_equal(next(read(data).frames()).stored, pixels)


@pytest.mark.parametrize("vr", [b"cs", b"--", b"  "])
def test_the_first_element_may_have_an_invalid_vr(make_dicom: MakeDicom, vr: bytes) -> None:
    """The declared transfer syntax has explicit VR, so the two bytes are no length."""
    data = make_dicom(SpecificCharacterSet="ISO_IR 100").replace(b"\x08\x00\x05\x00CS", b"\x08\x00\x05\x00" + vr)
    assert np.array_equal(next(read(data).frames()).stored, PIXELS)


def test_an_explicit_element_in_an_implicit_file_is_read(make_dicom: MakeDicom) -> None:
    """Some writers switch: the length would be beyond the file."""
    data = make_dicom(syntax=ImplicitVRLittleEndian)
    at = data.index(b"\x28\x00\x02\x00\x02\x00\x00\x00")
    dicom_image = read(data[:at] + HISTORY + b"LT" + VALUE + data[at:])
    assert np.array_equal(next(dicom_image.frames()).stored, PIXELS)


def test_an_invalid_vr_in_a_big_endian_file(make_dicom: MakeDicom) -> None:
    """Tags and lengths have the byte order of the file."""
    data = make_dicom(PIXELS.byteswap().tobytes(), syntax=ExplicitVRBigEndian, Rows=16, Columns=12, BitsAllocated=16,
                      BitsStored=16)  # fmt: skip
    at = data.index(b"\x00\x28\x00\x02US")
    dicom_image = read(data[:at] + b"\x00\x10\x21\xb0--\x00\x08G0000000" + data[at:])
    assert np.array_equal(next(dicom_image.frames()).stored, PIXELS)


@pytest.mark.parametrize(
    "tail",
    [
        b"\xfc\xff\xfc\xffOB\x00\x00\x08\x00\x00\x00" + bytes(8),
        bytes(4096),
        b"\x00",
        b"anything",
    ],
    ids=["data set trailing padding", "zeros", "one zero", "text"],
)
def test_bytes_behind_native_pixels_change_nothing(make_dicom: MakeDicom, tail: bytes) -> None:
    """The length of the pixel data says where they end."""
    dicom_image = read(make_dicom() + tail)
    assert np.array_equal(next(dicom_image.frames()).stored, PIXELS)
    assert dicom_image.remarks.words is None


@pytest.mark.parametrize("tail", [bytes(7), bytes(4096), b"\xfc\xff\xfc\xffOB\x00\x00\x08\x00\x00\x00" + bytes(8)])
def test_padding_behind_an_object_without_pixels_is_not_an_element(make_dicom: MakeDicom, tail: bytes) -> None:
    """The object is no image, and not truncated."""
    report = make_dicom(PixelData=None, Rows=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    with pytest.raises(RejectDicomImage) as refusal:
        read(report + tail)
    assert refusal.value.reason is Reason.NON_IMAGE


def test_more_zeros_than_elements_are_allowed_are_padding() -> None:
    """Eight zero bytes look like an element of length zero; 100,000 elements are the limit."""
    data = CODE + bytes(8 * 100_001)
    elements = Elements(data, Encoding(implicit=False, little=True), 0, len(data))
    assert (elements.fault, list(elements)) == (None, [0x00080100])


def test_zeros_between_elements_are_searched_once() -> None:
    """A megabyte of zeros with one byte behind them is no padding, and takes less than a second."""
    data = CODE + bytes(8 * 50_000) + b"--------" * 20
    elements = Elements(data, Encoding(implicit=False, little=True), 0, len(data))
    assert str(elements.fault) == "The file ends within (2D2D,2D2D) at offset 400,012."


@pytest.mark.parametrize(
    ("cut", "detail"),
    [
        (lambda data: data[: data.index(HISTORY) + 10], "AdditionalPatientHistory (0010,21B0) at offset {}."),
        (lambda data: data[: data.index(HISTORY) + 5], "the header of an element at offset {}."),
    ],
    ids=["in a value", "in a header"],
)
def test_the_detail_of_a_cut_header_names_tag_and_offset(
    make_dicom: MakeDicom, cut: Callable[[bytes], bytes], detail: str
) -> None:
    """The offset is the position of the element in the file."""
    data = inserted(make_dicom(), HISTORY + b"LT" + VALUE)
    with pytest.raises(RejectDicomImage) as refusal:
        read(cut(data))
    expected = "The file ends within " + detail.format(f"{data.index(HISTORY):,}")
    assert (refusal.value.reason, refusal.value.detail) == (Reason.TRUNCATED, expected)


def test_the_detail_of_a_sequence_without_end_names_it(make_dicom: MakeDicom) -> None:
    """The file ends within an item."""
    data = make_dicom()
    at = data.index(SAMPLES_PER_PIXEL)
    with pytest.raises(RejectDicomImage) as refusal:
        read(data[:at] + SEQUENCE + UNDEFINED + OPEN_ITEM + CODE)
    expected = f"The file ends within the sequence ContrastBolusAgentSequence (0018,0012), value at offset {at + 12}."
    assert refusal.value.detail == expected


def test_too_deep_nesting_names_the_sequence(make_dicom: MakeDicom) -> None:
    """32 levels are allowed."""
    with pytest.raises(RejectDicomImage) as refusal:
        read(inserted(make_dicom(), (SEQUENCE + UNDEFINED + OPEN_ITEM) * 40))
    assert refusal.value.reason is Reason.BAD_HEADER
    assert "Sequences are nested deeper than 32 levels: ContrastBolusAgentSequence (0018,0012)" in refusal.value.detail


@pytest.mark.parametrize("vr", [b"--", b"ow", b"\x00\x00"])
def test_the_pixel_data_may_have_an_invalid_vr(make_dicom: MakeDicom, vr: bytes) -> None:
    """Their length has four bytes."""
    data = make_dicom().replace(b"\xe0\x7f\x10\x00OW\x00\x00", b"\xe0\x7f\x10\x00" + vr + b"\x00\x00")
    assert np.array_equal(next(read(data).frames()).stored, PIXELS)


@pytest.mark.parametrize("elements", [HEADERS["two dashes"], HEADERS["no sequence delimiter"]])
def test_a_memory_map_is_read_like_bytes(make_dicom: MakeDicom, tmp_path: Path, elements: bytes) -> None:
    """Training reads the headers of large files through one."""
    path = tmp_path / "a.dcm"
    path.write_bytes(inserted(make_dicom(), elements) + bytes(100))
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        assert read(cast("bytes", view)).facts.rows == 16
