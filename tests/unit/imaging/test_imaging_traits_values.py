"""Header values for routing rules, one element at a time."""

from typing import Any

import cv2
import numpy as np
import pytest
from dicom_files import MakeDicom

from imaging.read import read
from imaging.traits import Traits, read_traits

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"


def test_a_picture_has_source_and_size_only() -> None:
    """A PNG file has no header."""
    png = cv2.imencode(".png", np.zeros((5, 7), np.uint8))[1].tobytes()
    assert read_traits(read(png, accept_raster=True), "inbox") == Traits(source=("inbox",), rows=5, columns=7)


def test_a_bare_header_has_little_more(make_dicom: MakeDicom) -> None:
    """16 rows and 12 columns."""
    expected = Traits(source=("inbox",), sop_class=(CT_CLASS,), modality=("CT",), rows=16, columns=12)
    assert read_traits(read(make_dicom()), "inbox") == expected


@pytest.mark.parametrize(
    ("elements", "name", "expected"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY"]}, "image_type", ("ORIGINAL", "PRIMARY")),
        ({"ImageType": ["ORIGINAL", "", " AXIAL"]}, "image_type", ("ORIGINAL", "AXIAL")),
        ({"PresentationIntentType": "FOR PROCESSING"}, "presentation_intent", ("FOR PROCESSING",)),
        ({"BodyPartExamined": "CHEST"}, "body_part", ("CHEST",)),
        ({"ViewPosition": "PA"}, "view", ("PA",)),
        ({"ViewPosition": "A" * 16}, "view", ("A" * 16,)),
        ({"SeriesDescription": "Thorax"}, "description", ("Thorax",)),
        ({"StudyDescription": "Trauma"}, "description", ("Trauma",)),
        ({"SeriesDescription": "Thorax", "StudyDescription": "Trauma"}, "description", ("Thorax", "Trauma")),
        ({"SeriesDescription": "A\\B"}, "description", ("A\\B",)),
        ({"SeriesDescription": " ", "StudyDescription": "Trauma"}, "description", ("Trauma",)),
    ],
)
def test_an_element_has_its_trait(
    make_dicom: MakeDicom, elements: dict[str, Any], name: str, expected: tuple[str, ...]
) -> None:
    """Values are separated and stripped; a description is one text. The others are as without the element."""
    found = read_traits(read(make_dicom(**elements)), "inbox")
    assert getattr(found, name) == expected
    others = read_traits(read(make_dicom()), "inbox")._asdict() | {name: expected}
    assert found._asdict() == others


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_long_texts_are_cut_like_those_of_the_database(make_dicom: MakeDicom) -> None:
    """A view has 16 characters, and a description 64."""
    found = read_traits(read(make_dicom(ViewPosition="V" * 17, SeriesDescription="d" * 65)), "inbox")
    assert (found.view, found.description) == (("V" * 16,), ("d" * 64,))
