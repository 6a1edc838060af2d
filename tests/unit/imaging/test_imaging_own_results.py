"""Recognition of the reports of nightread."""

import io

import pydicom
import pytest
from dicom_files import MakeDicom, structured_report
from pydicom.dataset import Dataset

from imaging.errors import RejectDicomImage
from imaging.read import read
from nightread.reasons import Reason
from nightread.uids import own_series_uid

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def sent(**values: object) -> bytes:
    """Return a report with these values."""
    dataset = pydicom.dcmread(io.BytesIO(structured_report()))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def declaring(scheme: str) -> list[Dataset]:
    """Return a Coding Scheme Identification Sequence with one item."""
    item = Dataset()
    item.CodingSchemeDesignator = scheme
    return [item]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, Reason.NON_IMAGE),
        ({"Manufacturer": "nightread"}, Reason.OWN_RESULT),
        ({"Manufacturer": "A PACS", "CodingSchemeIdentificationSequence": declaring("99NIGHTREAD")}, Reason.OWN_RESULT),
        ({"Manufacturer": "nightreader", "CodingSchemeIdentificationSequence": declaring("99ELSE")}, Reason.NON_IMAGE),
        ({"Manufacturer": "nightread", "Modality": "PR"}, Reason.NON_IMAGE),
    ],
)
def test_own_results_are_recognised_by_manufacturer_or_codes(values: dict[str, object], reason: Reason) -> None:
    """A store may replace the manufacturer; the declared coding schemes stay."""
    with pytest.raises(RejectDicomImage) as rejected:
        read(sent(**values))

    assert rejected.value.reason is reason


@pytest.mark.parametrize(
    "values",
    [
        {"Manufacturer": "nightread"},
        {
            "Manufacturer": "A PACS",
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": own_series_uid("key images", "1.2.3"),
        },
    ],
    ids=["manufacturer", "series"],
)
def test_own_pictures_are_rejected(make_dicom: MakeDicom, values: dict[str, str]) -> None:
    """A store may replace the manufacturer; the UID of the series stays."""
    with pytest.raises(RejectDicomImage) as rejected:
        read(make_dicom(SOPClassUID=SECONDARY_CAPTURE, **values))

    assert rejected.value.reason is Reason.OWN_RESULT


@pytest.mark.parametrize(
    "values",
    [
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Manufacturer": "nightread"},
        {"SOPClassUID": SECONDARY_CAPTURE, "Manufacturer": "A PACS", "StudyInstanceUID": "1.2.3"},
        {"SOPClassUID": SECONDARY_CAPTURE, "StudyInstanceUID": None, "SeriesInstanceUID": None},
    ],
    ids=["another class", "another series", "no UIDs"],
)
def test_pictures_of_others_are_read(make_dicom: MakeDicom, values: dict[str, str | None]) -> None:
    """Whatever their header has or lacks."""
    assert read(make_dicom(**values)).frame_count == 1
