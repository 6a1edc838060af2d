"""A header whose elements lie where those of an earlier one did is not walked again, and reads the same."""

import random
import struct

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from imaging import header
from imaging.header import Header, read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.repeated_header import RepeatedHeaders
from nightread.errors import RejectImage

PIXELS = np.arange(16 * 12, dtype=np.uint16).reshape(16, 12)
SERIES_TIME = b"120000"
OPEN = b"\xff" * 4
"""The length of a sequence or item that ends with a delimiter."""


@pytest.fixture(autouse=True)
def headers(monkeypatch: pytest.MonkeyPatch) -> RepeatedHeaders:
    """Give each test an empty cache, and return it."""
    empty = RepeatedHeaders()
    monkeypatch.setattr(header, "_repeated", empty)
    return empty


def with_open_sequence(data: bytes, text: bytes = b"ROOM", *, implicit: bool = False) -> bytes:
    """Return the file with a sequence of undefined length (0020,9222) before its group 0028."""
    place = data.index(b"\x28\x00\x02\x00")
    start = b"\x20\x00\x22\x92" + (b"" if implicit else b"SQ\x00\x00") + OPEN
    length = struct.pack("<I" if implicit else "<H", len(text))
    inner = b"\x08\x00\x10\x10" + (b"" if implicit else b"SH") + length + text
    item = b"\xfe\xff\x00\xe0" + OPEN + inner + b"\xfe\xff\x0d\xe0" + bytes(4)
    return data[:place] + start + item + b"\xfe\xff\xdd\xe0" + bytes(4) + data[place:]


def reading(data: bytes) -> object:
    """Return everything that reading a header finds, or why it does not."""
    try:
        found = read_header(data, DEFAULT_LIMITS)
    except RejectImage as rejected:
        return rejected.reason
    elements = found.elements
    fault = elements.fault and (type(elements.fault), str(elements.fault))
    return dict(elements.found), elements.encoding, elements.start, elements.end, fault, found.transfer_syntax


def fresh(data: bytes, monkeypatch: pytest.MonkeyPatch) -> object:
    """Return the same by a walk, whatever was read before."""
    with monkeypatch.context() as patch:
        patch.setattr(header, "_repeated", RepeatedHeaders())
        return reading(data)


def shares_places(first: Header, second: Header) -> bool:
    """Return whether the second header was not walked."""
    return first.elements.found is second.elements.found


def read_twice(data: bytes) -> tuple[Header, Header]:
    """Read a file for the third and the fourth time: the second one was kept."""
    for _ in range(2):
        read_header(data, DEFAULT_LIMITS)
    return read_header(data, DEFAULT_LIMITS), read_header(data, DEFAULT_LIMITS)


def test_the_third_file_of_a_series_is_not_walked(make_dicom: MakeDicom) -> None:
    """Values may differ where the places are the same."""
    first = make_dicom(PIXELS, SeriesTime="120000")
    read_header(first, DEFAULT_LIMITS)
    kept = read_header(first, DEFAULT_LIMITS)
    other = read_header(first.replace(SERIES_TIME, b"130000"), DEFAULT_LIMITS)
    assert shares_places(kept, other)
    assert other.elements.text(0x00080031) == "130000"


def test_the_uids_of_the_file_meta_information_may_differ(make_dicom: MakeDicom) -> None:
    """They do in every file of a series."""
    first, second = (make_dicom(PIXELS, SOPInstanceUID=f"1.2.826.0.1.{number}") for number in (100, 200))
    assert len(first) == len(second)
    assert first[:400].count(b"1.2.826.0.1.100") == 2
    read_header(first, DEFAULT_LIMITS)
    assert shares_places(read_header(first, DEFAULT_LIMITS), read_header(second, DEFAULT_LIMITS))


def test_a_single_file_of_a_length_is_not_kept(make_dicom: MakeDicom) -> None:
    """Compressed files rarely have the same length, and keeping a header takes time."""
    data = make_dicom(PIXELS)
    first = read_header(data, DEFAULT_LIMITS)
    assert not shares_places(first, read_header(data, DEFAULT_LIMITS))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_damaged_headers_are_read_as_by_a_walk(
    make_dicom: MakeDicom, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    """Each byte of the header is changed in turn; the kept header must never be taken for one with other steps."""
    data = with_open_sequence(make_dicom(PIXELS, syntax=syntax), implicit=syntax == ImplicitVRLittleEndian)
    _, kept = read_twice(data)
    assert kept.elements.is_regular
    change = random.Random(7)
    for position in range(kept.elements.end):
        damaged = bytearray(data)
        damaged[position] ^= 1 << change.randrange(8)
        read_twice(data)
        assert reading(bytes(damaged)) == fresh(bytes(damaged), monkeypatch), position


def test_other_lengths_with_the_same_sum_are_walked(make_dicom: MakeDicom) -> None:
    """Two values that changed their lengths in opposite ways leave the length of the file as it was."""
    data = make_dicom(PIXELS, StationName="ROOM ONE", StudyDescription="THORAX")
    other = make_dicom(PIXELS, StationName="ROOM 1", StudyDescription="THORAX 1")
    assert len(data) == len(other)
    _, kept = read_twice(data)
    found = read_header(other, DEFAULT_LIMITS)
    assert not shares_places(kept, found)
    assert found.elements.text(0x00081010) == "ROOM 1"
    assert read_header(other, DEFAULT_LIMITS).elements.found.keys() == kept.elements.found.keys()


def test_a_header_that_differs_takes_the_place_of_the_kept_one(make_dicom: MakeDicom) -> None:
    """A series ends, and another one with files of the same length begins."""
    data = make_dicom(PIXELS, StationName="ROOM ONE", StudyDescription="THORAX")
    other = make_dicom(PIXELS, StationName="ROOM 1", StudyDescription="THORAX 1")
    read_twice(data)
    assert shares_places(*read_twice(other))


def test_deflated_headers_are_not_kept(make_dicom: MakeDicom) -> None:
    """Their elements lie in the inflated bytes."""
    assert not shares_places(*read_twice(make_dicom(PIXELS, syntax=DeflatedExplicitVRLittleEndian)))


def test_headers_without_pixel_data_are_not_kept(make_dicom: MakeDicom) -> None:
    """The end of such a data set is checked for what follows it."""
    data = make_dicom(PIXELS)
    _, found = read_twice(data)
    element = found.elements.get(0x7FE00010)
    assert element is not None
    assert not shares_places(*read_twice(data[: element[1] - 12]))


def test_irregular_headers_are_not_kept(make_dicom: MakeDicom) -> None:
    """Elements in a wrong order are found by the careful walk, which looks at more than tags and lengths."""
    data = make_dicom(PIXELS, SeriesTime="120000")
    modality = data.index(b"\x08\x00\x60\x00CS")
    irregular = data[:modality] + b"\x08\x00\x05\x00" + data[modality + 4 :]
    assert not shares_places(*read_twice(irregular))


def test_irregular_file_meta_information_is_not_kept(make_dicom: MakeDicom) -> None:
    """The version (0002,0001) comes after the class (0002,0002) here."""
    data = make_dicom(PIXELS)
    version, sop_class, instance = (data.index(struct.pack("<HH", 2, tag)) for tag in (1, 2, 3))
    exchanged = data[:version] + data[sop_class:instance] + data[version:sop_class] + data[instance:]
    assert not shares_places(*read_twice(exchanged))


def test_large_sequences_are_not_kept(make_dicom: MakeDicom, headers: RepeatedHeaders) -> None:
    """The memory for kept headers is bounded."""
    small, large = (with_open_sequence(make_dicom(PIXELS), b"x" * size) for size in (10_000, 20_000))
    assert shares_places(*read_twice(small))
    assert not shares_places(*read_twice(large))
    assert headers.find(large) is None


def test_only_so_many_headers_are_kept(make_dicom: MakeDicom, headers: RepeatedHeaders) -> None:
    """A night of compressed files has thousands of lengths."""
    data = make_dicom(PIXELS)
    read_twice(data)
    for more in range(2, 600, 2):
        read_header(data + bytes(more), DEFAULT_LIMITS)
    assert headers.find(data) is None
