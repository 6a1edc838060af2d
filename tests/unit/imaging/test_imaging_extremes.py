"""Extreme header values, and very long headers."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from imaging.elements import Elements
from imaging.errors import RejectDicomImage
from imaging.limits import Limits
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from imaging.walk import MAX_ELEMENTS, Encoding
from nightread.errors import RejectImage
from nightread.reasons import Reason

EXPLICIT = Encoding(implicit=False, little=True)
VOI = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="voi"))


@pytest.mark.parametrize(
    "elements",
    [{"RescaleSlope": "1e300"}, {"RescaleSlope": "-1e-300"}, {"RescaleIntercept": "1e16"}, {"RescaleSlope": "1e-21"}],
)
def test_an_extreme_rescale_is_a_bad_header(make_dicom: MakeDicom, elements: dict[str, Any]) -> None:
    """Float32 would overflow, and the network would get a black image."""
    with pytest.raises(RejectImage) as refusal:
        list(read(make_dicom(**elements)).frames())
    assert refusal.value.reason is Reason.BAD_HEADER


def test_an_extreme_window_is_an_error_only_if_it_is_used(make_dicom: MakeDicom) -> None:
    """Intensity `window` does not use the window of the header."""
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
    """The result is within [0, 1] even for numbers that are very large compared with the width."""
    data = make_dicom(WindowCenter=center, WindowWidth=width, RescaleIntercept=intercept, RescaleSlope="0.5")
    (frame,) = read(data).frames()
    prepared = prepare(frame, VOI)
    assert prepared.min() >= -0.001
    assert prepared.max() <= 1.001


def test_the_number_of_elements_is_limited() -> None:
    """All allowed elements are found; one more is an error, and the elements before it are kept."""
    words = np.zeros((MAX_ELEMENTS, 4), "<u2")
    words[:, 0], words[:, 1] = 9 + np.arange(MAX_ELEMENTS) // 60_000 * 2, np.arange(MAX_ELEMENTS) % 60_000
    words[:, 2] = int.from_bytes(b"LO", "little")
    enough = words[1:].tobytes()
    many = words.tobytes() + b"\x21\x00\x10\x00LO\x00\x00"

    assert Elements(enough, EXPLICIT, 0, len(enough)).fault is None
    too_many = Elements(many, EXPLICIT, 0, len(many))
    expected = "A data set has too many elements. The last one read is (000B,9C3F)."
    assert (str(too_many.fault), len(too_many)) == (expected, MAX_ELEMENTS)


def test_the_number_of_frames_is_limited(make_dicom: MakeDicom) -> None:
    """Even a small frame costs a prediction and a database row."""
    data = make_dicom(np.zeros((4, 2), np.uint8), Rows=2, NumberOfFrames=2, HighBit=7)
    assert read(data, limits=Limits(frames=2)).frame_count == 2
    with pytest.raises(RejectDicomImage) as refusal:
        read(data, limits=Limits(frames=1))
    assert refusal.value.reason is Reason.TOO_LARGE


def test_deflated_bytes_that_look_like_meta_elements_are_not_taken_for_them(make_dicom: MakeDicom) -> None:
    """Stored blocks may begin with zeros, which look like a tag of the file meta information."""
    data = make_dicom(syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    plain = zlib.decompress(data[start:], -15)
    stored = b"\x00\x00\x00\xff\xff" + b"\x01" + struct.pack("<HH", len(plain), len(plain) ^ 0xFFFF) + plain

    (frame,) = read(data[:start] + stored).frames()

    assert np.array_equal(frame.stored, np.arange(192, dtype=np.uint16).reshape(16, 12))


def test_bytes_after_deflated_pixels_are_not_inflated(make_dicom: MakeDicom) -> None:
    """A stream that is truncated after the pixels still gives its image."""
    data = make_dicom(np.zeros((200, 200), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    packer = zlib.compressobj(wbits=-15)
    longer = packer.compress(zlib.decompress(data[start:], -15) + bytes(1_000_000)) + packer.flush()

    assert len(list(read(data[:start] + longer[:-20]).frames())) == 1


@pytest.mark.parametrize(("width", "usable"), [("1e-20", True), ("1e-21", False), ("1e-40", False)])
def test_a_window_that_float32_cannot_divide_by_is_not_used(make_dicom: MakeDicom, width: str, usable: bool) -> None:
    """The inputs of the network would be infinite."""
    dicom_image = read(make_dicom(WindowCenter="0", WindowWidth=width))
    (frame,) = dicom_image.frames()
    assert np.isfinite(prepare(frame, VOI)).all()
    assert bool(dicom_image.remarks) == (not usable)
