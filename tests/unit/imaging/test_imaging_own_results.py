"""Recognition of the reports of nightread."""

import io

import pydicom
import pytest
from dicom_files import structured_report
from pydicom.dataset import Dataset

from imaging.errors import RejectDicomImage
from imaging.read import read
from nightread.reasons import Reason


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
