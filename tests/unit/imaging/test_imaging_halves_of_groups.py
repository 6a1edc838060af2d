"""A rescale or a window of which each half is in another functional group, or at the top level."""

from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset

from imaging.grayscale import Grayscale
from imaging.read import read
from imaging.voi import Ramp, Sigmoid

PIXELS = np.zeros((2, 2), np.uint16)
CENTER, WIDTH = {"WindowCenter": "10"}, {"WindowWidth": "4"}
SIGMOID, LINEAR = {"VOILUTFunction": "SIGMOID"}, {"VOILUTFunction": "LINEAR_EXACT"}
SLOPE, INTERCEPT = {"RescaleSlope": "3"}, {"RescaleIntercept": "5"}
OTHER = {"WindowCenter": "90", "WindowWidth": "8"}
WINDOW, CURVE = Ramp(low=8, high=12), Sigmoid(center=10, width=4)


def item(**elements: Any) -> Dataset:
    data_set = Dataset()
    for keyword, value in elements.items():
        setattr(data_set, keyword, value)
    return data_set


def grayscale(make_dicom: MakeDicom, sequence: str, *places: dict[str, str]) -> Grayscale:
    """Return what is read if the group of the frame, the shared group and the top level have these elements."""
    of_frame, shared, top = places
    groups = {
        "PerFrameFunctionalGroupsSequence": [item(**{sequence: [item(**of_frame)]})],
        "SharedFunctionalGroupsSequence": [item(**{sequence: [item(**shared)]})],
    }
    return read(make_dicom(PIXELS, **groups, **top)).frame(0).grayscale


@pytest.mark.parametrize(
    ("places", "voi"),
    [
        pytest.param((CENTER | LINEAR, WIDTH, {}), WINDOW, id="width in the shared group"),
        pytest.param((WIDTH | LINEAR, {}, CENTER), WINDOW, id="center at the top level"),
        pytest.param((CENTER | WIDTH, SIGMOID, {}), CURVE, id="function in the shared group"),
        pytest.param((CENTER | WIDTH, {}, SIGMOID), CURVE, id="function at the top level"),
        pytest.param((CENTER | WIDTH | LINEAR, SIGMOID, SIGMOID), WINDOW, id="its own function"),
        pytest.param((CENTER, WIDTH | LINEAR, SIGMOID), WINDOW, id="the next function"),
        pytest.param((CENTER | WIDTH, {}, OTHER | SIGMOID), Ramp(low=8, high=11), id="a function of another window"),
    ],
)
def test_halves_of_a_window_belong_together(make_dicom: MakeDicom, places: tuple[Any, ...], voi: object) -> None:
    """What is nearer to the frame is used first; a whole window elsewhere lends nothing."""
    assert grayscale(make_dicom, "FrameVOILUTSequence", *places).voi == voi


@pytest.mark.parametrize("places", [(SLOPE, INTERCEPT, {}), (INTERCEPT, {}, SLOPE), ({}, SLOPE | INTERCEPT, {})])
def test_halves_of_a_rescale_belong_together(make_dicom: MakeDicom, places: tuple[Any, ...]) -> None:
    """Slope and intercept may be in any two places."""
    found = grayscale(make_dicom, "PixelValueTransformationSequence", *places)
    assert (found.slope, found.intercept) == (3, 5)
