"""The first mapped value of a VOI LUT has the sign of the values that the table gets, whatever its VR."""

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from voi_files import lut, shown

from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity

RAMP = np.array([[0, 1, 2, 3]], np.uint16)


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_the_first_mapped_value_has_the_sign_of_the_pixels(make_dicom: MakeDicom, vr: str) -> None:
    """Signed pixels: 65534 is -2, whichever VR a gateway wrote."""
    stored = np.array([[-3, -2, -1, 0, 1, 2]], np.int16)
    first = 65534 if vr == "US" else -2
    item = lut([4, first, 8], bytes([0, 51, 102, 255]), vr=vr)

    assert shown(make_dicom(stored, VOILUTSequence=Sequence([item])))[0] == pytest.approx([0, 0, 0.2, 0.4, 1, 1])


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_the_first_mapped_value_has_the_sign_of_rescaled_values(make_dicom: MakeDicom, vr: str) -> None:
    """Unsigned pixels with an intercept of -2: modality values begin at -2, and so does the table."""
    first = 65534 if vr == "US" else -2
    item = lut([4, first, 8], bytes([0, 51, 102, 255]), vr=vr)
    data = make_dicom(RAMP, RescaleIntercept="-2", RescaleSlope="1", VOILUTSequence=Sequence([item]))

    assert shown(data)[0] == pytest.approx([0, 0.2, 0.4, 1])


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_high_first_value_of_unsigned_pixels_stays_high(make_dicom: MakeDicom, vr: str) -> None:
    """Unsigned pixels: 65532 is no negative number, even if its VR is SS."""
    stored = np.array([[0, 65531, 65533, 65535]], np.uint16)
    first = 65532 if vr == "US" else -4
    item = lut([4, first, 8], bytes([0, 51, 102, 255]), vr=vr)

    assert shown(make_dicom(stored, VOILUTSequence=Sequence([item])))[0] == pytest.approx([0, 0, 0.2, 1])


def test_a_first_value_for_float_pixels_may_be_negative(make_dicom: MakeDicom) -> None:
    """Floats have a sign."""
    values = np.array([[-3, -2, -1, 0, 2]], np.float32)
    item = lut([4, 65534, 8], bytes([0, 51, 102, 255]))
    elements = {"PixelData": None, "BitsStored": None, "HighBit": None, "FloatPixelData": values.tobytes()}

    assert shown(make_dicom(values, VOILUTSequence=Sequence([item]), **elements))[0] == pytest.approx(
        [0, 0, 0.2, 0.4, 1]
    )


def test_all_frames_decide_how_their_common_table_begins(make_dicom: MakeDicom) -> None:
    """The second frame has no negative value, but the table that both share begins at -2, as the first frame tells."""
    groups = []
    for intercept in ("-2", "40"):
        rescale, frame = Dataset(), Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept = "1", intercept
        frame.PixelValueTransformationSequence = Sequence([rescale])
        groups.append(frame)
    data = make_dicom(
        np.vstack([RAMP, RAMP]),
        Rows=1,
        NumberOfFrames=2,
        VOILUTSequence=Sequence([lut([4, 65534, 8], bytes([0, 51, 102, 255]))]),
        PerFrameFunctionalGroupsSequence=Sequence(groups),
    )
    spec = InputSpec(height=1, width=4, channels=1, intensity=Intensity(kind="voi"))

    first, second = (prepare(frame, spec).reshape(-1).tolist() for frame in read(data).frames())

    assert first == pytest.approx([0, 0.2, 0.4, 1])
    assert second == [1, 1, 1, 1]


def test_a_negative_first_value_of_values_that_are_not_negative(make_dicom: MakeDicom) -> None:
    """12-bit pixels end at 4095, so a table from 65534 on would map none of them: it begins at -2."""
    item = lut([4, 65534, 8], bytes([0, 51, 102, 255]))
    data = make_dicom(RAMP, BitsStored=12, HighBit=11, VOILUTSequence=Sequence([item]))

    assert shown(data)[0] == pytest.approx([0.4, 1, 1, 1])
