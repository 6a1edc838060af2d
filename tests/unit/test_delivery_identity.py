"""The identity is read from any file that an image can be, and from no other image."""

import pytest
from dicom_files import modified_phantom, phantom
from pydicom.dataset import Dataset, FileDataset

from delivery.identity import Identity, UnreadableHeaderError, read_identity


def _change(dataset: FileDataset) -> None:
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = "1.2", "1.23"
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "Müller"


IMAGE = modified_phantom(1, _change)
DEFLATED = bytes(128) + b"DICM\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"
"""The beginning of a deflated file."""


def read(data: bytes, *, study: str = "1.2", sop: str = "1.23") -> Identity:
    """Read the identity of the image with these UIDs."""
    return read_identity(data, study_instance_uid=study, sop_instance_uid=sop)


@pytest.mark.parametrize(("study", "sop"), [("1.3", "1.23"), ("1.2", "1.24"), ("1.23", "1.2")])
def test_both_uids_must_be_those_of_the_image(study: str, sop: str) -> None:
    """One of them alone does not identify an image."""
    with pytest.raises(UnreadableHeaderError, match=r"^the file now holds another image$"):
        read(IMAGE, study=study, sop=sop)


def test_a_file_without_preamble_is_read() -> None:
    """The analysis accepts such files as well."""
    assert read(IMAGE[132:]).header.PatientName == "Müller"


def test_pixel_data_are_not_read() -> None:
    """Damaged fragments do not prevent that the patient is known."""
    start = IMAGE.index(b"\xe0\x7f\x10\x00")
    damaged = IMAGE[:start] + b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\x10"
    assert read(damaged).header.PatientName == "Müller"


def test_uids_may_be_padded_with_spaces() -> None:
    """Some devices pad UIDs like texts."""
    assert IMAGE.count(b"UI\x04\x001.23") == 1
    padded = IMAGE.replace(b"UI\x04\x001.23", b"UI\x06\x001.23  ")
    assert read(padded).header.PatientName == "Müller"


def test_only_the_elements_that_are_needed_are_kept() -> None:
    """An identity holds no other element of the header."""
    header = read(IMAGE).header
    assert "Rows" not in header
    assert "Modality" not in header


def test_an_unreadable_header_says_which_error_occurred() -> None:
    """The words of the error may hold values of the header, and are left out."""
    with pytest.raises(UnreadableHeaderError, match=r"^the header cannot be read \(\w+\)$"):
        read(DEFLATED + b"\xff" * 40)


def test_the_characters_of_the_source_are_kept_or_replaced_by_utf_8() -> None:
    """A copied value has the bytes of the file; a decoded one is the same text."""
    written, decoded = Dataset(), Dataset()
    read(IMAGE).copy_into(written, ascii_only=True)
    read(IMAGE).copy_into(decoded, ascii_only=False)
    assert written.SpecificCharacterSet == "ISO_IR 100"
    assert written.get_item("PatientName").value == b"M\xfcller"
    assert decoded.SpecificCharacterSet == "ISO_IR 192"
    assert (decoded["PatientName"].VR, str(decoded.PatientName)) == ("PN", "Müller")


def test_another_image_of_the_study_is_another_image() -> None:
    """Its UIDs are read from its own header."""
    with pytest.raises(UnreadableHeaderError):
        read(phantom(3))


def test_a_value_that_was_read_before_is_copied_as_well() -> None:
    """Pydicom then holds the decoded value only."""
    identity, report = read(IMAGE), Dataset()
    assert identity.header.PatientName == "Müller"
    identity.copy_into(report, ascii_only=True)
    assert report.PatientName == "Müller"


def test_required_elements_are_there_without_a_value() -> None:
    """Whatever the report holds already: type 2 elements of PS3.3, C.7.1.1 and C.7.2.1."""
    for ascii_only in (True, False):
        report = Dataset()
        Identity(header=Dataset()).copy_into(report, ascii_only=ascii_only)
        empty = {element.keyword for element in report if element.is_empty}
        assert empty == {
            "StudyDate",
            "StudyTime",
            "AccessionNumber",
            "ReferringPhysicianName",
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyID",
        }
