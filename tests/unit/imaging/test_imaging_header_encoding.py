"""The encoding of a data set by its first element, and where a deflated one begins (PS3.5 section 7.1, A.5)."""

import struct

import pytest
from explicit_elements import element, numbers
from test_imaging_header import (
    BIG,
    BIG_MODALITY,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    IMPLICIT_MODALITY,
    MODALITY,
    PREAMBLE,
    meta,
)

from imaging.header import Header, read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.walk import Encoding
from nightread.errors import RejectImage
from nightread.reasons import Reason

LITTLE_EXPLICIT, LITTLE_IMPLICIT = Encoding(implicit=False, little=True), Encoding(implicit=True, little=True)
BIG_EXPLICIT = Encoding(implicit=False, little=False)


def header_of(data: bytes) -> Header:
    """Return the header, which need not be complete."""
    return read_header(data, DEFAULT_LIMITS)


def of_length(length: int) -> bytes:
    """Return an element with implicit VR and a value of this length: its bytes stand where a VR may be."""
    return b"\x08\x00\x60\x00" + struct.pack("<I", length) + b"A" * length


def with_vr(vr: bytes) -> bytes:
    """Return an element with these bytes as its VR."""
    return b"\x08\x00\x60\x00" + vr + b"\x02\x00CT"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (meta(EXPLICIT) + MODALITY, LITTLE_EXPLICIT),
        (meta(EXPLICIT) + IMPLICIT_MODALITY, LITTLE_IMPLICIT),
        (meta(EXPLICIT) + BIG_MODALITY, LITTLE_EXPLICIT),
        (meta(EXPLICIT) + with_vr(b"--"), LITTLE_EXPLICIT),
        (meta(EXPLICIT) + with_vr(b"cs"), LITTLE_EXPLICIT),
        (meta(EXPLICIT) + with_vr(b"\xe9\xe9"), LITTLE_IMPLICIT),
        (meta(IMPLICIT) + MODALITY, LITTLE_EXPLICIT),
        (meta(IMPLICIT) + IMPLICIT_MODALITY, LITTLE_IMPLICIT),
        (meta(IMPLICIT) + with_vr(b"--"), LITTLE_IMPLICIT),
        (meta(BIG) + BIG_MODALITY, BIG_EXPLICIT),
        (meta(BIG) + MODALITY, BIG_EXPLICIT),
        (MODALITY, LITTLE_EXPLICIT),
        (BIG_MODALITY, BIG_EXPLICIT),
        (IMPLICIT_MODALITY, LITTLE_IMPLICIT),
        (with_vr(b"--"), LITTLE_IMPLICIT),
    ],
)
def test_the_encoding_of_a_data_set(data: bytes, expected: Encoding) -> None:
    """Two capital letters are a VR, and other printable ones only if the syntax has explicit VR.

    The syntax tells the byte order; if there is none, the first byte of the first group does.
    """
    assert header_of(PREAMBLE + data).elements.encoding == expected


@pytest.mark.parametrize("length", [0x44, 0x4402, 0x4131, 0x2020, 0x6364])
@pytest.mark.parametrize("before", [b"", meta(IMPLICIT)])
def test_a_length_that_looks_like_half_of_a_vr(length: int, before: bytes) -> None:
    """Its two bytes are one letter, a digit and a letter, spaces or small letters."""
    found = header_of(PREAMBLE + before + of_length(length)).elements
    assert found.encoding == LITTLE_IMPLICIT
    assert found.get(0x00080060) == (b"", found.start + 8, length)


def rejected(data: bytes) -> tuple[Reason, str]:
    """Return reason and detail of a header that is refused, or incomplete."""
    with pytest.raises(RejectImage) as refusal:
        header_of(data).check()
    return refusal.value.reason, refusal.value.detail


def test_a_data_set_without_preamble_begins_with_a_group_of_dicom() -> None:
    """Group 0010 is none of the first groups, though Rows follows."""
    rows = numbers(0x00280010, 5)
    assert rejected(element(0x00100020, "LO", "12") + rows)[0] is Reason.NOT_DICOM
    assert len(header_of(element(0x00080070, "LO", "AB") + rows).elements) == 2
    assert len(header_of(PREAMBLE + element(0x00100020, "LO", "12")).elements) == 1


def test_meta_information_without_preamble_that_is_cut() -> None:
    """It is DICOM, and the file ends too early."""
    detail = "The file ends within TransferSyntaxUID (0002,0010) at offset 12."
    assert rejected(meta(EXPLICIT)[:-2]) == (Reason.TRUNCATED, detail)


def test_a_header_that_contradicts_itself_is_bad() -> None:
    """The patient has two numbers."""
    twice = element(0x00100020, "LO", "12") + element(0x00100020, "LO", "34")
    detail = "PatientID (0010,0020) at offset 142 is there a second time, with another value."
    assert rejected(PREAMBLE + twice) == (Reason.BAD_HEADER, detail)


def stored_block(data_set: bytes) -> bytes:
    """Return a deflated data set that is stored as it is: a multiple of 256 bytes (RFC 1951, 3.2.4)."""
    assert len(data_set) % 256 == 0
    return b"\x01" + struct.pack("<HH", len(data_set), len(data_set) ^ 0xFFFF) + data_set


def filled(size: int) -> bytes:
    """Return a data set of this size: a code value, and a text that ends with zeros."""
    return element(0x00080100, "SH", "ABCD") + element(0x001021B0, "LT", b"x" * (size - 40) + bytes(20))


@pytest.mark.parametrize("blocks", [1, 9])
def test_the_group_length_tells_where_deflated_bytes_begin(blocks: int) -> None:
    """Read as elements, these bytes are one of group 0001: of 2,302 bytes, which are not there, or of 2,294, which are.

    The bytes of a stored block begin with 01 00, the block's size and its complement.
    """
    header = header_of(PREAMBLE + meta(DEFLATED) + stored_block(filled(256 * blocks)))
    assert header.elements.text(0x00080100) == "ABCD"
    assert header.elements.start == 0


@pytest.mark.parametrize("before", [meta(DEFLATED)[12:], meta(DEFLATED, length=0), meta(DEFLATED, length=9999)])
def test_deflated_bytes_that_look_like_no_element_need_no_group_length(before: bytes) -> None:
    """The walk over the meta information ends before them, whether its length is absent or wrong."""
    deflated = bytes.fromhex("e3604860700e6662700e0100")  # Modality of CT with explicit VR
    assert header_of(PREAMBLE + before + deflated).elements.text(0x00080060) == "CT"
