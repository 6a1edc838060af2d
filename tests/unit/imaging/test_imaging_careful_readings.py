"""How the careful walk reads an irregular header of an element, and what it takes for the beginning of another one.

Most headers here can be read in two ways. What follows behind one of them decides, so that its length says which.
"""

import struct

import pytest
from test_imaging_elements import implicit, long, short
from walks import (
    BIG,
    COMMENTS,
    CT,
    EXPLICIT,
    FIVE,
    IMPLICIT,
    ITEM,
    ITEM_END,
    MODALITY,
    OPEN,
    OPEN_ITEM,
    PIXELS,
    PRIVATE,
    ROWS,
    SEQUENCE,
    SEQUENCE_END,
    failure,
    header,
    item,
    reading,
    walked,
)

from imaging.walk import Element, Encoding, HeaderError


def taken(candidate: bytes, *, tag: int = PRIVATE, encoding: Encoding = EXPLICIT, end: int | None = None) -> bool:
    """Return whether an element `tag` is read in such a way that these bytes begin the next element.

    Its header has a length of 4 and, where VR OB has its length, 10: both fit. Behind the former is an element.
    """
    order = "<" if encoding.little else ">"
    group, number = tag >> 16, tag & 0xFFFF
    other = implicit(ROWS, b"ab") if encoding.implicit else short(ROWS, "US", b"ab", order=order)
    owner = struct.pack(f"{order}HH2sHI", group, number, b"OB", 4, 10)
    found = reading(owner + other + candidate, tag, encoding, end=None if end is None else 22 + end)
    assert found in ((b"OB", 12, 10), (b"OB", 8, 4))
    return found == (b"OB", 12, 10)


UNKNOWN, LOWER = 0x00291002, 0x00191001
"""Private tags that no dictionary has, above and below (0029,1001)."""
EVEN = 0x002A0011
"""No tag of DICOM, though its group is even."""


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (short(UNKNOWN, "LO", b"ab"), True),
        (short(EVEN, "LO", b"ab"), True),
        (short(LOWER, "LO", b"ab"), False),
        (short(PRIVATE, "LO", b"ab"), False),
        (header(UNKNOWN, b"lo", 2) + b"ab", True),
        (CT, True),
        (header(MODALITY, b"--", 9999), True),
        (header(0x00020000, b"UL", 4) + bytes(4), True),
        (header(0x00000002, b"UI", 2) + b"ab", False),
        (implicit(UNKNOWN, b"ab"), True),
        (implicit(UNKNOWN, b"abcd", length=3), True),
        (implicit(UNKNOWN, b"ab", length=3), False),
        (implicit(UNKNOWN, b"ab", length=OPEN), True),
        (implicit(UNKNOWN, b"ab", length=OPEN - 1), False),
        (implicit(LOWER, b"ab"), False),
        (implicit(PRIVATE, b"ab"), False),
        (implicit(EVEN, b"ab"), False),
        (header(UNKNOWN, b"--", 2) + b"ab", False),
        (header(UNKNOWN, b"L\x00", 0), False),
        (b"", True),
        (b"\x00", True),
        (bytes(100), True),
        (bytes(64) + b"ab", True),
        (bytes(63) + b"abc", False),
        (b"1234567", False),
        (b"12345678", False),
        (header(UNKNOWN, b"LO", 0), True),
        (ITEM, True),
        (ITEM_END, True),
        (SEQUENCE_END, True),
    ],
)
def test_an_element_is_known_by_its_tag_its_vr_or_its_length(candidate: bytes, expected: bool) -> None:
    """A tag of the dictionary, or a higher one with a VR, or a higher private one whose length fits."""
    assert taken(candidate) is expected


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (implicit(MODALITY, b"CT"), True),
        (implicit(MODALITY, b"CT", length=3), False),
        (implicit(MODALITY, b"CT", length=OPEN), True),
        (implicit(PIXELS, b"CT", length=9999), True),
        (implicit(UNKNOWN, b"ab"), True),
        (implicit(UNKNOWN, b"ab", length=3), False),
        (implicit(LOWER, b"ab"), False),
        (short(UNKNOWN, "LO", b"ab"), False),
        (item(b"", length=9999), True),
        (implicit(0xFFFEE00D, b"", length=9999), True),
        (implicit(0xFFFEE0DD, b"", length=9999), True),
    ],
)
def test_without_vr_the_length_must_fit(candidate: bytes, expected: bool) -> None:
    """Only pixel data may be cut, and delimiters have no length that matters."""
    assert taken(candidate, encoding=IMPLICIT) is expected


def test_the_end_of_an_item_counts_like_that_of_the_file() -> None:
    """Bytes behind it are not those of an element."""
    assert taken(CT, end=0)
    assert taken(b"\x00\x00" + CT, end=2)
    assert taken(short(UNKNOWN, "LO", b"ab") + CT, end=10)
    assert not taken(CT, end=7)
    assert taken(CT, end=8)
    assert not taken(implicit(UNKNOWN, b"ab") + CT, end=9)
    assert taken(implicit(UNKNOWN, b"ab") + CT, end=10)


def test_big_endian_headers_are_judged_in_their_order() -> None:
    """The same bytes in the other order are no element."""
    assert taken(short(UNKNOWN, "LO", b"ab", order=">"), encoding=BIG)
    assert not taken(b"\x29\x00\x02\x10--\x02\x00", encoding=BIG)


NEXT = CT
"""A known tag, which may follow each element."""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(COMMENTS, b"LT", 4) + b"abcd", (b"LT", 8, 4)),
        (header(COMMENTS, b"lt", 4) + b"abcd", (b"LT", 8, 4)),
        (header(COMMENTS, b"ut", 0) + b"\x04\0\0\0abcd", (b"UT", 12, 4)),
        (header(COMMENTS, b"OB", 0) + b"\x04\0\0\0abcd", (b"OB", 12, 4)),
        (header(COMMENTS, b"OB", 4) + b"abcd", (b"OB", 8, 4)),
        (header(COMMENTS, b"--", 4) + b"abcd", (b"", 8, 4)),
        (header(COMMENTS, b"--", 0) + b"\x04\0\0\0abcd", (b"", 12, 4)),
        (header(COMMENTS, b"--", 0), (b"", 8, 0)),
        (implicit(COMMENTS, b"abcd"), (b"", 8, 4)),
        (implicit(COMMENTS, b"a" * 0x2D2D), (b"", 8, 0x2D2D)),
        (header(COMMENTS, b"\xff\xff", 4) + b"abcd", (b"", 8, 4)),
        (header(COMMENTS, b"\x01\x02", 0) + b"\x04\0\0\0abcd", (b"", 12, 4)),
    ],
)
def test_the_reading_behind_which_an_element_follows_is_taken(data: bytes, expected: Element) -> None:
    """Lower case, invalid VRs, lengths of two and of four bytes, and implicit VR."""
    assert reading(data + NEXT, COMMENTS) == expected
    found, position = walked(data + NEXT)
    assert (found[MODALITY], position) == ((b"CS", len(data) + 8, 2), len(data) + 10)


@pytest.mark.parametrize("tail", [b"", bytes(10), bytes(64)])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(COMMENTS, b"--", 0) + b"\x04\0\0\0abcd", (b"", 12, 4)),
        (header(COMMENTS, b"--", 0) + b"\x03\0\0\0abc", (b"", 12, 3)),
        (header(COMMENTS, b"OB", 4) + b"abcd", (b"OB", 8, 4)),
    ],
)
def test_a_reading_that_ends_with_the_file_is_taken(data: bytes, expected: Element, tail: bytes) -> None:
    """With zeros behind it as well."""
    assert reading(data + tail, COMMENTS) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (implicit(COMMENTS, b"abcd"), (b"", 8, 4)),
        (header(COMMENTS, b"LT", 4) + b"abcd", (b"LT", 8, 4)),
        (header(COMMENTS, b"UT", 0) + b"\x04\0\0\0abcd", (b"UT", 12, 4)),
    ],
)
def test_an_implicit_file_may_hold_explicit_elements(data: bytes, expected: Element) -> None:
    """Their VR would be a length beyond the file."""
    assert reading(data + implicit(MODALITY, b"CT"), COMMENTS, IMPLICIT) == expected


def test_other_readings_of_an_invalid_vr_are_not_tried() -> None:
    """Implicit VR has none; a length of two bytes that is not zero leaves no place for one of four."""
    assert reading(header(COMMENTS, b"--", 4) + b"abcd" + implicit(MODALITY, b"CT"), COMMENTS, IMPLICIT) == (
        b"", 8, 0x42D2D,
    )  # fmt: skip
    assert reading(header(COMMENTS, b"--", 99) + b"\x04\0\0\0abcd" + CT, COMMENTS) == (b"", 8, 99)


FIRST = 0x00181022


@pytest.mark.parametrize(
    ("vr", "printable"),
    [
        (b"  ", True),
        (b"~ ", True),
        (b" ~", True),
        (b"\x1f ", False),
        (b" \x1f", False),
        (b"\x7f ", False),
        (b" \x7f", False),
    ],
)
def test_two_letters_are_rather_an_invalid_vr_than_a_length(vr: bytes, printable: bool) -> None:
    """An element follows behind both readings. Letters are from 20H to 7EH."""
    number = int.from_bytes(vr, "little")
    inner = long(PRIVATE, "OB", bytes(number - 12))
    assert reading(header(FIRST, vr, 0) + inner + CT, FIRST) == (b"", 8, 0 if printable else number)


def test_two_zeros_are_rather_an_invalid_vr_than_a_length() -> None:
    """The length of four bytes would be 128 KiB, behind which an element follows as well."""
    inner = b"ab" + long(PRIVATE, "OB", bytes(0x20000 - 14))
    assert reading(header(FIRST, b"\x00\x00", 2) + inner + CT, FIRST) == (b"", 8, 2)


def test_a_header_that_fits_no_reading_keeps_the_first_that_ends_before_the_file() -> None:
    """Nothing that is an element follows; the walk fails behind it, and names what is there."""
    rubbish = b"12345678" * 3
    assert reading(header(COMMENTS, b"LT", 4) + b"abcd" + rubbish, COMMENTS) == (b"LT", 8, 4)
    for too_long in (25, 30, 255):
        number = too_long.to_bytes(4, "little")
        assert reading(header(COMMENTS, b"OB", 4) + number + rubbish, COMMENTS) == (b"OB", 8, 4)
    assert reading(header(COMMENTS, b"OB", 4) + b"\x10\0\0\0" + rubbish, COMMENTS) == (b"OB", 12, 16)
    assert reading(header(COMMENTS, b"LT", 400) + b"abcd" + rubbish, COMMENTS) == (b"LT", 8, 400)
    message = "The file ends within ImageComments (0020,4000) at offset 0."
    assert failure(header(COMMENTS, b"LT", 400) + b"abcd" + rubbish)[1] == message


@pytest.mark.parametrize("first", [ITEM, SEQUENCE_END, OPEN_ITEM + CT + ITEM_END])
def test_an_undefined_length_needs_an_item_or_the_end_of_a_sequence(first: bytes) -> None:
    """Otherwise the two bytes that should be zero are the length."""
    closed = first + SEQUENCE_END + FIVE
    opened = header(SEQUENCE, b"SQ", 4) + b"\xff" * 4
    assert reading(opened + closed, SEQUENCE) == (b"SQ", 12, OPEN)
    assert reading(opened + SEQUENCE_END, SEQUENCE) == (b"SQ", 12, OPEN)
    assert reading(opened + FIVE, SEQUENCE) == (b"SQ", 8, 4)
    assert reading(opened + ITEM_END + FIVE, SEQUENCE) == (b"SQ", 8, 4)


PATIENT_ID, HISTORY, PRIVATE_LOW = 0x00100020, 0x001021B0, 0x00111010
SMALLEST, SLOPE, REPRESENTATION = 0x00280106, 0x00281053, 0x00280103


@pytest.mark.parametrize(
    ("data", "tag", "expected", "behind"),
    [
        (header(PATIENT_ID, b"LO", 3) + b"abc ", PATIENT_ID, (b"LO", 8, 3), 12),
        (header(PATIENT_ID, b"LO", 3) + b"abc\x00", PATIENT_ID, (b"LO", 8, 3), 12),
        (header(PATIENT_ID, b"LO", 3) + b"abc", PATIENT_ID, (b"LO", 8, 3), 11),
        (header(HISTORY, b"LT", 3) + b"abcd", HISTORY, (b"LT", 8, 3), 12),
        (header(REPRESENTATION, b"US", 1) + b"\x01\x00", REPRESENTATION, (b"US", 8, 2), 10),
        (header(SMALLEST, b"SS", 1) + b"\x01\x00", SMALLEST, (b"SS", 8, 2), 10),
        (header(SLOPE, b"SS", 1) + b"\x01\x00", SLOPE, (b"SS", 8, 2), 10),
        (implicit(SMALLEST, b"\x01\x00", length=1), SMALLEST, (b"", 8, 2), 10),
        (long(REPRESENTATION, "UN", b"\x01\x00", length=1), REPRESENTATION, (b"UN", 12, 2), 14),
        (header(REPRESENTATION, b"--", 1) + b"\x01\x00", REPRESENTATION, (b"", 8, 2), 10),
        (implicit(PRIVATE_LOW, b"ab", length=1), PRIVATE_LOW, (b"", 8, 1), 10),
        (long(PRIVATE_LOW, "UN", b"ab", length=1), PRIVATE_LOW, (b"UN", 12, 1), 14),
        (header(PRIVATE_LOW, b"US", 1) + b"ab", PRIVATE_LOW, (b"US", 8, 2), 10),
    ],
)
def test_an_odd_length_may_leave_out_one_byte(data: bytes, tag: int, expected: Element, behind: int) -> None:
    """It is padding, or the second byte of a number of two bytes."""
    found, _ = walked(data + NEXT)
    assert (found[tag], found[MODALITY]) == (expected, (b"CS", behind + 8, 2))


@pytest.mark.parametrize(("vr", "value"), [(b"LO", b"abcd"), (b"DS", b"1500")])
def test_a_byte_that_may_belong_to_a_needed_value_is_an_error(vr: bytes, value: bytes) -> None:
    """The length is 3, and the fourth byte is no padding."""
    message = "PatientID (0010,0020) at offset 10 has a value that is longer than its length says."
    assert failure(CT + header(PATIENT_ID, vr, 3) + value + FIVE) == (HeaderError, message)
