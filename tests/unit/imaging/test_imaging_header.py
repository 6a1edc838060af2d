"""The beginning of a file: preamble, file meta information, and the encoding of the data set (PS3.10 section 7.1)."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from imaging.header import Header, read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import Reason

PIXELS = np.arange(16 * 12, dtype=np.uint16).reshape(16, 12)
PREAMBLE = bytes(128) + b"DICM"
MODALITY = b"\x08\x00\x60\x00CS\x02\x00CT"
IMPLICIT_MODALITY = b"\x08\x00\x60\x00\x02\x00\x00\x00CT"
BIG_MODALITY = b"\x00\x08\x00\x60CS\x00\x02CT"
EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
)  # fmt: skip


def meta(syntax: str, *, length: int | None = None) -> bytes:
    """Return file meta information with a transfer syntax; `length` replaces its true group length."""
    uid = syntax.encode() + b"\x00" * (len(syntax) % 2)
    element = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(uid)) + uid
    return b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(element) if length is None else length) + element


def header_of(data: bytes) -> Header:
    """Read a complete header."""
    header = read_header(data, DEFAULT_LIMITS)
    header.check()
    return header


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (PREAMBLE + meta(EXPLICIT) + MODALITY, EXPLICIT),
        (PREAMBLE + meta(IMPLICIT) + IMPLICIT_MODALITY, IMPLICIT),
        (PREAMBLE + meta(BIG) + BIG_MODALITY, BIG),
        (meta(EXPLICIT) + MODALITY, EXPLICIT),
        (PREAMBLE + MODALITY, None),
        (PREAMBLE + IMPLICIT_MODALITY, None),
        (MODALITY, None),
        (IMPLICIT_MODALITY, None),
        (BIG_MODALITY, None),
        (PREAMBLE + meta(EXPLICIT) + IMPLICIT_MODALITY, EXPLICIT),
        (PREAMBLE + meta(IMPLICIT) + MODALITY, IMPLICIT),
        (PREAMBLE + meta(EXPLICIT, length=0) + MODALITY, EXPLICIT),
        (PREAMBLE + meta(EXPLICIT, length=9999) + MODALITY, EXPLICIT),
        (PREAMBLE + meta(EXPLICIT)[12:] + MODALITY, EXPLICIT),
        (b"any text in a preamble".ljust(128) + b"DICM" + meta(EXPLICIT) + MODALITY, EXPLICIT),
        (PREAMBLE + b"\x02\x00\x10\x00" + struct.pack("<I", 20) + EXPLICIT.encode() + b"\x00" + MODALITY, EXPLICIT),
    ],
    ids=[
        "explicit VR", "implicit VR", "big endian", "no preamble", "explicit VR without meta information",
        "implicit VR without meta information", "only a data set", "only an implicit data set",
        "only a big endian data set", "declared explicit, written implicit", "declared implicit, written explicit",
        "group length 0", "group length too large", "no group length", "text in the preamble",
        "meta information with implicit VR",
    ],
)  # fmt: skip
def test_the_encoding_is_read_from_the_first_element(data: bytes, syntax: str | None) -> None:
    """The declared transfer syntax decides about the byte order only."""
    header = header_of(data)
    assert (header.elements.text(0x00080060), header.transfer_syntax) == ("CT", syntax)
    assert list(header.elements) == [0x00080060]


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (PREAMBLE, "The file ends before its first element."),
        (PREAMBLE + meta(EXPLICIT), "The file ends before its first element."),
        (PREAMBLE + meta(EXPLICIT)[:-2], "The file ends within TransferSyntaxUID (0002,0010) at offset 144."),
        (PREAMBLE + meta(EXPLICIT) + MODALITY[:-1], "The file ends within Modality (0008,0060) at offset 172."),
        (PREAMBLE + meta(EXPLICIT) + MODALITY[:7], "The file ends within the header of an element at offset 172."),
    ],
)
def test_a_header_that_the_file_cuts_is_truncated(data: bytes, detail: str) -> None:
    """The detail names the element and its position in the file."""
    with pytest.raises(RejectImage) as refusal:
        header_of(data)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.TRUNCATED, detail)


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\x00\x70\x00LO\x02\x00AB",  # a data set without preamble that holds none of the identifying elements
        b"\x10\x00\x20\x00LO\x02\x00AB",  # does not begin with group 0002 or 0008
        b"\x00" * 132,
        b"DICM" + meta(EXPLICIT) + MODALITY,
    ],
)
def test_bytes_without_preamble_must_identify_themselves(data: bytes) -> None:
    """SOP class, SOP instance, modality or rows must be there, behind a first group of DICOM."""
    with pytest.raises(RejectImage) as refusal:
        read_header(data, DEFAULT_LIMITS)
    assert refusal.value.reason is Reason.NOT_DICOM


@pytest.mark.parametrize("tag", [b"\x08\x00\x16\x00UI", b"\x08\x00\x18\x00UI", b"\x08\x00\x60\x00CS"])
def test_each_identifying_element_is_enough(tag: bytes) -> None:
    """The data set has no other element."""
    assert len(header_of(tag + b"\x04\x00abcd").elements) == 1


@pytest.mark.parametrize("length", [None, 0])
def test_a_deflated_data_set_begins_behind_the_meta_information(length: int | None) -> None:
    """The group length is not needed unless the deflated bytes look like an element."""
    packer = zlib.compressobj(wbits=-15)
    deflated = packer.compress(MODALITY) + packer.flush()
    header = header_of(PREAMBLE + meta(DEFLATED, length=length) + deflated)
    assert header.elements.text(0x00080060) == "CT"


def test_errors_of_a_deflated_data_set_name_its_offset(make_dicom: MakeDicom) -> None:
    """Offsets within it would be those of inflated bytes."""
    data = make_dicom(syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    for broken, expected in (
        (data[:-40], (Reason.TRUNCATED, f"The deflated data set at offset {start} ends too early.")),
        (
            data[:start] + b"\xff" * 50,
            (Reason.BAD_HEADER, f"The deflated data set at offset {start} cannot be inflated."),
        ),
    ):
        with pytest.raises(RejectImage) as refusal:
            read(broken)
        assert (refusal.value.reason, refusal.value.detail) == expected


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("dropped", ["nothing", "preamble", "preamble and meta information"])
def test_a_file_without_its_beginning_has_the_same_pixels(make_dicom: MakeDicom, syntax: Any, dropped: str) -> None:
    """Old devices and archives that keep only the data set write such files."""
    stored = PIXELS.byteswap() if syntax == ExplicitVRBigEndian else PIXELS
    form = {"Rows": 16, "Columns": 12, "BitsAllocated": 16, "BitsStored": 16}
    data = make_dicom(stored.tobytes(), syntax=syntax, **form)
    start = {"nothing": 0, "preamble": 132}.get(dropped, 144 + struct.unpack_from("<I", data, 140)[0])
    assert np.array_equal(next(read(data[start:]).frames()).stored, PIXELS)
