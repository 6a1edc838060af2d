"""Header values that no image has, and headers that are longer than any."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from conftest import MakeDicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from imaging.elements import MAX_ELEMENTS, Elements, Encoding
from imaging.errors import RejectDicomImage
from imaging.limits import Limits
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from nightread.errors import RejectImage
from nightread.reasons import Reason

EXPLICIT = Encoding(implicit=False, little=True)
VOI = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="voi"))


@pytest.mark.parametrize(
    "elements",
    [{"RescaleSlope": "1e300"}, {"RescaleSlope": "-1e-300"}, {"RescaleIntercept": "1e16"}, {"RescaleSlope": "1e-21"}],
)
def test_a_rescale_that_no_image_has_is_a_bad_header(make_dicom: MakeDicom, elements: dict[str, Any]) -> None:
    """Float32 would overflow, and the network would be shown a black image."""
    with pytest.raises(RejectImage) as refusal:
        list(read(make_dicom(**elements)).frames())
    assert refusal.value.reason is Reason.BAD_HEADER


def test_a_window_that_no_image_has_is_a_fault_for_those_who_want_it(make_dicom: MakeDicom) -> None:
    """A fixed window does not need it."""
    (frame,) = read(make_dicom(WindowCenter="1e300", WindowWidth="400")).frames()
    assert frame.grayscale.voi_fault
    fixed = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="window", low=0, high=100))
    assert prepare(frame, fixed).shape == (8, 8, 1)


@pytest.mark.parametrize("center", ["1e14", "-1e14", "5e7", "0"])
@pytest.mark.parametrize("width", ["1", "3", "1e14"])
@pytest.mark.parametrize("intercept", ["0", "1e14", "-1e9"])
def test_a_window_far_from_the_pixels_shows_black_or_white(
    make_dicom: MakeDicom, center: str, width: str, intercept: str
) -> None:
    """Never what lies outside of [0, 1], however large the numbers are against the width."""
    data = make_dicom(WindowCenter=center, WindowWidth=width, RescaleIntercept=intercept, RescaleSlope="0.5")
    (frame,) = read(data).frames()
    prepared = prepare(frame, VOI)
    assert prepared.min() >= -0.001
    assert prepared.max() <= 1.001


def test_elements_are_counted() -> None:
    """As many as are allowed are found; one more is a fault, and what was found is kept."""
    words = np.zeros((MAX_ELEMENTS, 4), "<u2")
    words[:, 0], words[:, 1] = 9 + np.arange(MAX_ELEMENTS) // 60_000 * 2, np.arange(MAX_ELEMENTS) % 60_000
    words[:, 2] = int.from_bytes(b"LO", "little")
    enough = words[1:].tobytes()
    many = words.tobytes() + b"\x21\x00\x10\x00LO\x00\x00"

    assert Elements(enough, EXPLICIT, 0, len(enough)).fault is None
    too_many = Elements(many, EXPLICIT, 0, len(many))
    assert (str(too_many.fault), len(too_many)) == ("A data set has too many elements.", MAX_ELEMENTS)


def test_frames_are_limited(make_dicom: MakeDicom) -> None:
    """Each is a prediction and a row, however small it is."""
    data = make_dicom(np.zeros((4, 2), np.uint8), Rows=2, NumberOfFrames=2, HighBit=7)
    assert read(data, limits=Limits(frames=2)).frame_count == 2
    with pytest.raises(RejectDicomImage) as refusal:
        read(data, limits=Limits(frames=1))
    assert refusal.value.reason is Reason.TOO_LARGE


def test_deflated_bytes_that_look_like_meta_elements_are_not_taken_for_them(make_dicom: MakeDicom) -> None:
    """Stored blocks may begin with zeros, which is a tag below those of the data set."""
    data = make_dicom(syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    plain = zlib.decompress(data[start:], -15)
    stored = b"\x00\x00\x00\xff\xff" + b"\x01" + struct.pack("<HH", len(plain), len(plain) ^ 0xFFFF) + plain

    (frame,) = read(data[:start] + stored).frames()

    assert np.array_equal(frame.stored, np.arange(192, dtype=np.uint16).reshape(16, 12))


def test_what_is_behind_deflated_pixels_is_not_inflated(make_dicom: MakeDicom) -> None:
    """A stream that breaks off there has given its image."""
    data = make_dicom(np.zeros((200, 200), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    packer = zlib.compressobj(wbits=-15)
    longer = packer.compress(zlib.decompress(data[start:], -15) + bytes(1_000_000)) + packer.flush()

    assert len(list(read(data[:start] + longer[:-20]).frames())) == 1
