"""The shape of the pixels: their height divided by their width, by the header."""

from typing import Any

import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset

from imaging.pixel_ratio import pixel_ratio
from imaging.read import read

CASES: list[tuple[dict[str, Any], float]] = [
    ({}, 1.0),
    ({"PixelSpacing": [0.5, 0.5]}, 1.0),
    ({"PixelSpacing": [1.0, 0.5]}, 2.0),
    ({"PixelSpacing": [0.5, 1.0]}, 0.5),
    ({"PixelSpacing": [0.1435, 0.144]}, 1.0),
    ({"PixelAspectRatio": [3, 2]}, 1.5),
    ({"PixelSpacing": [0.5, 0.5], "PixelAspectRatio": [3, 2]}, 1.0),
    ({"ImagerPixelSpacing": [0.2, 0.1]}, 2.0),
    ({"NominalScannedPixelSpacing": [0.2, 0.1]}, 2.0),
    ({"PixelSpacing": [0, 0], "PixelAspectRatio": [3, 2]}, 1.5),
    ({"PixelSpacing": [100, 0.1]}, 1.0),
    ({"PixelSpacing": [1.009, 1]}, 1.0),
    ({"PixelSpacing": [1.011, 1]}, 1.011),
    ({"PixelSpacing": [20, 1]}, 20.0),
    ({"PixelSpacing": [1, 20]}, 0.05),
    ({"PixelSpacing": [1, 21]}, 1.0),
    ({"PixelSpacing": 0.5}, 1.0),
]


@pytest.mark.parametrize(("elements", "ratio"), CASES)
def test_the_spacing_gives_the_ratio(make_dicom: MakeDicom, elements: dict[str, Any], ratio: float) -> None:
    """The spacing between rows comes first; one of 0, or a ratio beyond 20, is an error of the writer."""
    assert pixel_ratio(read(make_dicom(**elements)).elements) == ratio


def test_text_in_place_of_numbers_counts_as_square(make_dicom: MakeDicom) -> None:
    """No faulty spacing costs the picture."""
    data = make_dicom(PixelSpacing=["11111111", "2"]).replace(b"11111111", b"eleven  ")
    assert pixel_ratio(read(data).elements) == 1.0
    assert pixel_ratio(None) == 1.0


def test_functional_groups_come_before_the_top_level(make_dicom: MakeDicom) -> None:
    """That of the frame, then the shared one."""

    def group(height: float) -> Dataset:
        measures, found = Dataset(), Dataset()
        measures.PixelSpacing = [height, 1]
        found.PixelMeasuresSequence = [measures]
        return found

    shared = make_dicom(SharedFunctionalGroupsSequence=[group(3)], PixelSpacing=[7, 1])
    frames = make_dicom(
        PerFrameFunctionalGroupsSequence=[group(4), group(5)], SharedFunctionalGroupsSequence=[group(3)]
    )
    assert pixel_ratio(read(shared).elements) == 3.0
    assert [pixel_ratio(read(frames).elements, index) for index in (0, 1, 2)] == [4.0, 5.0, 3.0]
