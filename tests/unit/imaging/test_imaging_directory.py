"""The files of a DICOMDIR are counted by study; an invalid DICOMDIR is rejected."""

import io
import struct

import pydicom
import pytest
from dicom_media import cd_files, scan_of_study
from pydicom.dataset import Dataset

from imaging.directory import count_files, is_directory
from imaging.elements import Elements
from imaging.header import read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.walk import Encoding
from nightread.errors import RejectImage
from nightread.reasons import Reason

NEXT, LOWER, IN_USE = (
    struct.pack("<HH2sH", 0x0004, number, vr, 4 if vr == b"UL" else 2)
    for number, vr in ((0x1400, b"UL"), (0x1420, b"UL"), (0x1410, b"US"))
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A DICOMDIR of two studies, with three files and one file."""
    scans = [scan_of_study("1.2.1", index) for index in (1, 2, 3)] + [scan_of_study("1.2.2", 4)]
    return cd_files(tmp_path_factory.mktemp("disc"), scans)["DICOMDIR"]


def elements(data: bytes) -> Elements:
    """Return the data set."""
    return read_header(data, DEFAULT_LIMITS).elements


def test_files_are_counted_by_study(directory: bytes) -> None:
    """The links of the records count, not their order."""
    assert is_directory(elements(directory))
    assert count_files(elements(directory)) == {"1.2.1": 3, "1.2.2": 1}


def test_records_out_of_use_are_left_out(directory: bytes) -> None:
    """The image was removed from the medium (PS3.3 F.5)."""
    first_image = directory.index(b"IMAGE ")
    flag = directory.rindex(IN_USE, 0, first_image) + len(IN_USE)
    changed = directory[:flag] + b"\0\0" + directory[flag + 2 :]
    assert count_files(elements(changed)) == {"1.2.1": 2, "1.2.2": 1}


@pytest.mark.parametrize("link", [NEXT, LOWER])
@pytest.mark.parametrize("place", [1, 2**32 - 2])
def test_an_invalid_link_is_a_bad_dicomdir(directory: bytes, link: bytes, place: int) -> None:
    """The link holds an invalid position."""
    at = directory.index(link) + len(link)
    broken = directory[:at] + struct.pack("<I", place) + directory[at + 4 :]
    assert _reason(broken) is Reason.BAD_DICOMDIR


def test_records_in_a_circle_are_a_bad_dicomdir(directory: bytes) -> None:
    """The records are not followed endlessly."""
    dataset = pydicom.dcmread(io.BytesIO(directory))
    first = dataset.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity
    for record in dataset.DirectoryRecordSequence:
        record.OffsetOfTheNextDirectoryRecord = first
    assert _reason(_written(dataset)) is Reason.BAD_DICOMDIR


def test_an_empty_directory_has_no_files() -> None:
    """An empty medium is not an error."""
    dataset = Dataset()
    dataset.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    dataset.DirectoryRecordSequence = []
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    data = buffer.getvalue()
    assert count_files(Elements(data, Encoding(implicit=False, little=True), 0, len(data))) == {}


RECORDS = 0x00041220
AT = 40
"""Position of the first record: 16 bytes of unused text, 12 of the root offset, 12 of the header of the sequence."""


def record(
    kind: str, *, next_at: int = 0, lower_at: int = 0, uid: str = "", file: str = "", in_use: int = 0xFFFF
) -> bytes:
    """Return a directory record as an item of defined length, with the elements of PS3.3 F.3.2.2."""
    values = (
        (0x1400, b"UL", struct.pack("<I", next_at)), (0x1410, b"US", struct.pack("<H", in_use)),
        (0x1420, b"UL", struct.pack("<I", lower_at)), (0x1430, b"CS", kind.encode()), (0x1500, b"CS", file.encode()),
    )  # fmt: skip
    content = b"".join(
        struct.pack("<HH2sH", 4, number, vr, len(value)) + value for number, vr, value in values if value
    )
    if uid:
        content += struct.pack("<HH2sH", 0x0020, 0x000D, b"UI", len(uid)) + uid.encode()
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def directory_of(*records: bytes, root: int) -> Elements:
    """Return a data set that begins with unused bytes, so that positions differ from those in the sequence."""
    unused = struct.pack("<HH2sH", 4, 0x1130, b"CS", 8) + b"UNUSED  "
    first = struct.pack("<HH2sHI", 4, 0x1200, b"UL", 4, root)
    value = b"".join(records)
    data = unused + first + struct.pack("<HH2sHI", 4, RECORDS & 0xFFFF, b"SQ", 0, len(value)) + value
    return Elements(data, Encoding(implicit=False, little=True), 0, len(data))


def test_a_record_is_found_by_its_position_in_the_file() -> None:
    """The root leads to the second record, which leads to the first: the image of a study."""
    assert AT == 16 + 12 + 12
    image = record("IMAGE ", file="IM1 ")
    study = record("STUDY ", lower_at=AT, uid="1.2.3.4 ")
    assert count_files(directory_of(image, study, root=AT + len(image))) == {"1.2.3.4": 1}
    assert count_files(directory_of(image, study, root=0)) == {}
    assert count_files(directory_of(image, study, root=AT)) == {}  # an image of no study


def test_a_record_that_is_not_in_use_keeps_its_neighbours() -> None:
    """PS3.3 F.3.2.2: 0 is not in use, FFFFH is in use. What lies below it is left out, what follows is not."""
    image = record("IMAGE ", file="IM1 ")
    unused = record(
        "STUDY ", in_use=0, lower_at=AT, uid="1.2 ", next_at=AT + len(image) + len(record("STUDY ", uid="1.2 "))
    )
    study = record("STUDY ", lower_at=AT, uid="1.3 ")
    assert count_files(directory_of(image, unused, study, root=AT + len(image))) == {"1.3": 1}


@pytest.mark.parametrize(
    ("next_at", "detail"),
    [
        (7, "A record leads to offset 7, where no record begins."),
        (AT, "Two records lead to the record at offset 40."),
    ],
)
def test_the_detail_names_the_offset_of_an_invalid_link(next_at: int, detail: str) -> None:
    """The link leads to no record, or back."""
    with pytest.raises(RejectImage) as caught:
        count_files(directory_of(record("STUDY ", next_at=next_at, uid="1.2 "), root=AT))
    assert (caught.value.reason, caught.value.detail) == (Reason.BAD_DICOMDIR, detail)


def test_the_detail_names_an_element_that_is_no_number() -> None:
    """The offset of the next record is text."""
    broken = record("STUDY ", uid="1.2 ").replace(b"\x04\x00\x00\x14UL", b"\x04\x00\x00\x14LO")
    with pytest.raises(RejectImage) as caught:
        count_files(directory_of(broken, root=AT))
    expected = "OffsetOfTheNextDirectoryRecord (0004,1400) must be a number, but has a VR of text."
    assert (caught.value.reason, caught.value.detail) == (Reason.BAD_DICOMDIR, expected)


def test_either_element_makes_a_directory() -> None:
    """A DICOMDIR may lack one of them."""
    first = struct.pack("<HH2sHI", 4, 0x1200, b"UL", 4, 0)
    records = struct.pack("<HH2sHI", 4, RECORDS & 0xFFFF, b"SQ", 0, 0)
    other = struct.pack("<HH2sH", 4, 0x1130, b"CS", 2) + b"AB"
    expected = {first: True, records: True, first + records: True, other: False, b"": False}
    found = {
        data: is_directory(Elements(data, Encoding(implicit=False, little=True), 0, len(data))) for data in expected
    }
    assert found == expected


def test_only_a_study_record_names_a_study() -> None:
    """The study UID of an image record is not that of the tree; a study without one counts no files."""
    image = record("IMAGE ", file="IM1 ", uid="9.9 ")
    study = record("STUDY ", lower_at=AT, uid="1.3 ")
    assert count_files(directory_of(image, study, root=AT + len(image))) == {"1.3": 1}
    assert count_files(directory_of(image, record("STUDY ", lower_at=AT), root=AT + len(image))) == {}
    assert count_files(directory_of(image, root=AT)) == {}


def test_records_go_on_behind_and_below_each_other() -> None:
    """Two images below a series, and a second study behind the first. A record of a study may name a file itself."""
    first = record("IMAGE ", file="IM1 ", next_at=AT + 68)
    second = record("IMAGE ", file="IM2 ")
    series = record("SERIES", lower_at=AT)
    study = record("STUDY ", lower_at=AT + 136, uid="1.3 ", next_at=AT + 260)
    assert [len(each) for each in (first, second, series, study)] == [68, 68, 56, 68]
    last = record("STUDY ", uid="1.4 ", file="IM3 ")
    records = directory_of(first, second, series, study, last, root=AT + 192)
    assert count_files(records) == {"1.3": 2, "1.4": 1}


def test_absent_links_lead_nowhere() -> None:
    """A record without any of the elements of PS3.3 F.3.2.2 is in use, and has no file."""
    content = struct.pack("<HH2sH", 4, 0x1430, b"CS", 6) + b"STUDY " + struct.pack("<HH2sH", 0x20, 0xD, b"UI", 4)
    bare = struct.pack("<HHI", 0xFFFE, 0xE000, len(content) + 4) + content + b"1.3 "
    assert count_files(directory_of(bare, root=AT)) == {}
    named = struct.pack("<HH2sH", 4, 0x1500, b"CS", 4) + b"IM1 "
    with_file = struct.pack("<HHI", 0xFFFE, 0xE000, len(content) + 16) + content[:14] + named + content[14:] + b"1.3 "
    assert count_files(directory_of(with_file, root=AT)) == {"1.3": 1}
    assert count_files(directory_of(record("STUDY ", uid="1.3 ", file="IM1 ", in_use=1), root=AT)) == {"1.3": 1}


def test_the_number_of_records_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes memory."""
    monkeypatch.setattr("imaging.directory.MOST_RECORDS", 2)
    study = record("STUDY ", uid="1.3 ", file="IM1 ")
    assert count_files(directory_of(study, study, root=AT)) == {"1.3": 1}
    with pytest.raises(RejectImage) as caught:
        count_files(directory_of(study, study, study, root=AT))
    expected = (Reason.BAD_DICOMDIR, "The DICOMDIR has more than 2 records.")
    assert (caught.value.reason, caught.value.detail) == expected


def _reason(data: bytes) -> Reason:
    with pytest.raises(RejectImage) as caught:
        count_files(elements(data))
    return caught.value.reason


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()
