"""The files of a DICOMDIR are counted by study; an invalid DICOMDIR is rejected."""

import io
import struct

import pydicom
import pytest
from dicom_media import cd_files, scan_of_study
from pydicom.dataset import Dataset

from imaging.directory import count_files, is_directory
from imaging.elements import Elements, Encoding
from imaging.header import read_header
from imaging.limits import DEFAULT_LIMITS
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


def _reason(data: bytes) -> Reason:
    with pytest.raises(RejectImage) as caught:
        count_files(elements(data))
    return caught.value.reason


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()
