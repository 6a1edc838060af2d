"""Lengths that are too small: what lies behind them is never taken for something else."""

import struct

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from test_imaging_irregular_headers import inserted

from imaging.dicom_image import Frame
from imaging.read import read
from imaging.voi import Ramp
from nightread.errors import RejectImage
from nightread.reasons import Reason

PIXELS = np.arange(16 * 12, dtype=np.uint16).reshape(16, 12)
PIXEL_DATA = b"\xe0\x7f\x10\x00OW\x00\x00"
ICON_SEQUENCE, REQUEST_SEQUENCE = b"\x88\x00\x00\x02SQ\x00\x00", b"\x40\x00\x75\x02SQ\x00\x00"
"""Icon Image Sequence (0088,0200) and Request Attributes Sequence (0040,0275), without their lengths."""


def us(element: int, value: int, group: int = 0x28) -> bytes:
    """Return an element of VR US with explicit VR."""
    return struct.pack("<HH2sHH", group, element, b"US", 2, value)


ICON = (
    us(0x0002, 1) + us(0x0010, 4) + us(0x0011, 4) + us(0x0100, 8) + us(0x0101, 8) + us(0x0102, 7) + us(0x0103, 0)
    + b"\xe0\x7f\x10\x00OB\x00\x00\x10\x00\x00\x00" + bytes(16)
)  # fmt: skip
"""An icon of 4 x 4 pixels: 98 bytes."""
WINDOW = b"\x28\x00\x50\x10DS\x02\x001 \x28\x00\x51\x10DS\x02\x002 "
"""Window Center 1, Window Width 2: 20 bytes."""


def sequence(header: bytes, content: bytes, *, length: int, item_length: int | None = None) -> bytes:
    """Return a sequence of one item, with this length."""
    inner = len(content) if item_length is None else item_length
    return header + struct.pack("<I", length) + struct.pack("<HHI", 0xFFFE, 0xE000, inner) + content


def before_pixels(data: bytes, elements: bytes) -> bytes:
    """Return the file with these bytes before its pixel data."""
    at = data.index(PIXEL_DATA)
    return data[:at] + elements + data[at:]


def frame_of(data: bytes) -> Frame:
    """Return the only frame."""
    (frame,) = read(data).frames()
    return frame


def refused(data: bytes) -> tuple[Reason, str]:
    """Return reason and detail of a file that is rejected."""
    with pytest.raises(RejectImage) as refusal:
        list(read(data).frames())
    return refusal.value.reason, refusal.value.detail


@pytest.mark.parametrize("length", [8, 18, 28, 40, 105, 106])
def test_an_icon_is_never_the_image(make_dicom: MakeDicom, length: int) -> None:
    """The item says where the sequence of 106 bytes ends."""
    data = before_pixels(make_dicom(), sequence(ICON_SEQUENCE, ICON, length=length))
    assert np.array_equal(frame_of(data).stored, PIXELS)


@pytest.mark.parametrize("item_length", [0, 10, 30])
def test_a_sequence_whose_item_is_too_short_as_well_is_rejected(make_dicom: MakeDicom, item_length: int) -> None:
    """The elements behind it may be of the icon or of the image."""
    icon = sequence(ICON_SEQUENCE, ICON, length=8 + item_length, item_length=item_length)
    data = before_pixels(make_dicom(), icon)
    at = data.index(ICON_SEQUENCE)
    names = {0: "SamplesPerPixel (0028,0002)", 10: "Rows (0028,0010)", 30: "BitsAllocated (0028,0100)"}
    element = f"{names[item_length]} at offset {at + 20 + item_length:,}"
    owner = f"the sequence IconImageSequence (0088,0200) at offset {at:,}"
    expected = f"{element} may belong to {owner}, whose length seems to be too small."
    assert refused(data) == (Reason.BAD_HEADER, expected)


@pytest.mark.parametrize("length", [8, 18, 28])
@pytest.mark.parametrize("own", [True, False])
def test_the_window_of_a_sequence_is_never_that_of_the_image(make_dicom: MakeDicom, length: int, own: bool) -> None:
    """The image has a window from 0 to 400, or none."""
    window = {"WindowCenter": "200.5", "WindowWidth": "401"} if own else {}
    data = before_pixels(make_dicom(**window), sequence(REQUEST_SEQUENCE, WINDOW, length=length))
    assert frame_of(data).grayscale.voi == (Ramp(low=0, high=400) if own else None)


def test_an_element_twice_with_two_values_is_rejected(make_dicom: MakeDicom) -> None:
    """A sequence (0008,1140) before the patient's number may have lost one of its own."""
    first = b"\x10\x00\x20\x00LO\x02\x0099"
    data = make_dicom()
    at = data.index(b"\x10\x00\x10\x00PN")
    twice = data[:at] + first + data[at:]
    again = twice.index(b"\x10\x00\x20\x00LO", at + 10)
    assert refused(twice) == (
        Reason.BAD_HEADER, f"PatientID (0010,0020) at offset {again} is there a second time, with another value.",
    )  # fmt: skip


def test_elements_in_another_order_cost_nothing(make_dicom: MakeDicom) -> None:
    """No sequence is before them, so that none can be too short; equal values twice do not matter."""
    late = b"\x10\x00\x30\x10DS\x02\x0070" + us(0x0010, 16) + b"\x18\x00\x10\x10LO\x02\x00ab"
    assert np.array_equal(frame_of(before_pixels(make_dicom(), late)).stored, PIXELS)


def test_elements_behind_a_whole_sequence_may_have_another_order(make_dicom: MakeDicom) -> None:
    """The last item of the sequence ends with a higher tag, so that it cannot continue."""
    whole = sequence(ICON_SEQUENCE, ICON, length=106)
    data = before_pixels(make_dicom(), whole + WINDOW)
    assert frame_of(data).grayscale.voi == Ramp(low=0, high=1)


def test_a_sequence_of_two_items_whose_length_counts_one_keeps_both(make_dicom: MakeDicom) -> None:
    """An item cannot follow at the top level."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(WINDOW)) + WINDOW
    data = before_pixels(make_dicom(), sequence(REQUEST_SEQUENCE, WINDOW, length=28) + item)
    elements = read(data).elements
    assert elements is not None
    assert [list(each) for each in elements.items(0x00400275)] == [[0x00281050, 0x00281051]] * 2


def shortened(data: bytes, header: bytes, length: int) -> bytes:
    """Return the file with another length of two bytes behind this tag and VR."""
    at = data.index(header) + len(header)
    return data[:at] + struct.pack("<H", length) + data[at + 2 :]


def test_a_number_whose_length_is_one_has_its_second_byte(make_dicom: MakeDicom) -> None:
    """The next element begins two bytes behind the header."""
    signed = shortened(make_dicom(PIXELS.astype(np.int16)), b"\x28\x00\x03\x01US", 1)
    assert frame_of(signed).stored.dtype == np.int16
    stored = shortened(make_dicom(BitsStored=12, HighBit=11), b"\x28\x00\x01\x01US", 1)
    assert frame_of(stored).bits_stored == 12
    implicit = make_dicom(BitsStored=12, HighBit=11, syntax=ImplicitVRLittleEndian)
    assert frame_of(shortened(implicit, b"\x28\x00\x01\x01", 1)).bits_stored == 12


def test_a_number_of_one_byte_is_named(make_dicom: MakeDicom) -> None:
    """There is only one byte before the next element."""
    data = shortened(make_dicom(PIXELS.astype(np.int16)), b"\x28\x00\x03\x01US", 1)
    at = data.index(b"\x28\x00\x03\x01US") + 8
    assert refused(data[: at + 1] + data[at + 2 :]) == (
        Reason.BAD_HEADER,
        f"PixelRepresentation (0028,0103) at offset {at} has a length that does not fit numbers.",
    )


def test_a_length_that_leaves_a_digit_out_is_named(make_dicom: MakeDicom) -> None:
    """1500 with a length of 3 is not 150."""
    data = shortened(make_dicom(WindowCenter="40", WindowWidth="1500"), b"\x28\x00\x51\x10DS", 3)
    at = data.index(b"\x28\x00\x51\x10DS")
    assert refused(data) == (
        Reason.BAD_HEADER, f"WindowWidth (0028,1051) at offset {at} has a value that is longer than its length says.",
    )  # fmt: skip


@pytest.mark.parametrize("padding", [b" ", b"\x00"])
def test_padding_that_is_not_counted_changes_no_value(make_dicom: MakeDicom, padding: bytes) -> None:
    """A width of 401 has three digits."""
    data = shortened(make_dicom(WindowCenter="200.5", WindowWidth="401 "), b"\x28\x00\x51\x10DS", 3)
    data = data.replace(b"401 ", b"401" + padding)
    assert frame_of(data).grayscale.voi == Ramp(low=0, high=400)


def test_a_digit_behind_a_value_that_nobody_reads_costs_nothing(make_dicom: MakeDicom) -> None:
    """Additional Patient History (0010,21B0)."""
    data = inserted(make_dicom(), b"\x10\x00\xb0\x21LT\x03\x00abcd\x10\x00\x00\x40LT\x02\x00ab")
    assert np.array_equal(frame_of(data).stored, PIXELS)


def test_a_padding_value_of_one_byte_is_named(make_dicom: MakeDicom) -> None:
    """It is read by PixelRepresentation, which needs two bytes."""
    data = before_pixels(make_dicom(), b"\x28\x00\x20\x01US\x01\x00\x05")
    assert refused(data) == (Reason.BAD_HEADER, "PixelPaddingValue (0028,0120) is shorter than a number.")


def test_big_endian_words_that_end_with_the_file_are_truncated(make_dicom: MakeDicom) -> None:
    """15 pixels of 8 bits are 8 words; the last pixel lies in the second byte of the last (PS3.5 section 8.1.1)."""
    form = {"Rows": 3, "Columns": 5, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    data = make_dicom(bytes(16), syntax=ExplicitVRBigEndian, **form)
    at = data.rindex(b"\x7f\xe0\x00\x10OW") + 8
    odd = data[:at] + struct.pack(">I", 15) + bytes(15)
    assert refused(odd) == (
        Reason.TRUNCATED, f"The file ends within the 16-bit word of the last pixel, at {len(odd):,}.",
    )  # fmt: skip
