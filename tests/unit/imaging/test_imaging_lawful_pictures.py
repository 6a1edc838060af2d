"""Lawful pictures that look a little as if their header were wrong. They stay as they are."""

from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from rle.utils import encode_pixel_data
from voi_files import lut, words

from imaging.dicom_image import Frame
from imaging.read import read

Pixels = np.ndarray[Any, Any]
DOWN, ACROSS = np.mgrid[0:64, 0:96]
RANDOM = np.random.default_rng(11)
SPOTS = (DOWN // 8 + ACROSS // 12) % 3 == 0
GRAIN = RANDOM.integers(-40, 40, (64, 96))
MAYBE_SIGN = "By the pixel values, PixelRepresentation (0028,0103) may be wrong; it was used."
MAYBE_ORDER = "By the pixel values, the order of their bytes may be wrong; that of the transfer syntax was used."
SPECKLE = RANDOM.rayleigh(40, (64, 96)).clip(0, 254).astype(np.uint16) << 8
SMOOTH = (1200 + 500 * np.sin(DOWN / 9) * np.cos(ACROSS / 11) + GRAIN / 4).astype(np.uint16)
TEXT = (DOWN > 40) & (DOWN < 50) & (ACROSS % 12 == 1)


def only_frame(data: bytes) -> tuple[Frame, str | None]:
    """Return the only frame, and the remarks."""
    image = read(data)
    (frame,) = image.frames()
    return frame, image.remarks.detail


@pytest.mark.parametrize(
    ("pixels", "detail"),
    [
        pytest.param((np.where(SPOTS, 65000, 500) + GRAIN).astype(np.uint16), MAYBE_SIGN, id="nearly black and white"),
        pytest.param((np.where(SPOTS, 30000, -30000) + GRAIN).astype(np.int16), MAYBE_SIGN, id="with a sign"),
        pytest.param(np.where(SPOTS, 65495 + GRAIN, 40 + GRAIN).astype(np.uint16), MAYBE_SIGN, id="at the very ends"),
        pytest.param(RANDOM.integers(-(2**15), 2**15, (3, 5)).astype(np.int16), None, id="a few pixels of noise"),
        pytest.param(np.where(TEXT, 0xFFFF, SPECKLE).astype(np.uint16), MAYBE_ORDER, id="text over eight bits"),
    ],
)
def test_in_doubt_the_header_decides(make_dicom: MakeDicom, pixels: Pixels, detail: str | None) -> None:
    """Two groups of values far apart may be black and white, and text may be written in more bits than the picture."""
    frame, found = only_frame(make_dicom(pixels, PixelRepresentation=int(pixels.dtype.kind == "i")))
    assert (frame.stored == pixels).all()
    assert (frame.bits_stored, found) == (16, detail)


@pytest.mark.parametrize("white", [[0xFFFF], [0xFFFE, 0xFFFF]], ids=["one white", "two whites"])
@pytest.mark.parametrize("brightness", [1, 2])
def test_text_in_all_bits_is_white(make_dicom: MakeDicom, white: list[int], brightness: int) -> None:
    """The words of the text are -1 and -2 only for a reader who takes them for values with a sign."""
    text = np.resize(np.array(white, np.uint16), TEXT.shape)
    pixels = np.where(TEXT, text, SMOOTH * brightness).astype(np.uint16)
    frame, detail = only_frame(make_dicom(pixels, BitsStored=12, HighBit=11, PixelRepresentation=0))
    assert (frame.stored == np.where(TEXT, 4096 - 65536 + text.astype(int), SMOOTH * brightness)).all()
    assert (frame.bits_stored, detail) == (12, None)


def squares(rows: int, columns: int, side: int) -> Pixels:
    down, across = np.mgrid[0:rows, 0:columns]
    return np.where((down // side + across // side) % 2, 3000, 200)


def beside_itself(rows: int) -> Pixels:
    one = np.random.default_rng(4).rayleigh(400, (rows, rows)).clip(0, 4000)
    return np.concatenate([one, one], axis=1)


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(squares(64, 48, 1), id="squares of one pixel"),
        pytest.param(squares(128, 64, 1), id="twice as many rows"),
        pytest.param(squares(48, 80, 8), id="larger squares"),
        pytest.param(np.tile(squares(128, 1, 1), (1, 64)), id="every second line"),
        pytest.param(np.tile(np.where(np.arange(192)[:, None] % 3, 200, 3000), (1, 64)), id="every third line"),
        pytest.param(beside_itself(64), id="two equal pictures"),
    ],
)
def test_a_pattern_is_no_sheared_picture(make_dicom: MakeDicom, picture: Pixels) -> None:
    """A pattern repeats itself at the distance of a wrong row too."""
    pixels = (picture + np.random.default_rng(6).integers(0, 30, picture.shape)).astype(np.uint16)
    frame, detail = only_frame(make_dicom(pixels, BitsStored=12, HighBit=11))
    assert (frame.stored == pixels).all()
    assert detail is None


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("size", [(96, 128), (128, 64)])
def test_exchanged_sides_in_each_coding(make_dicom: MakeDicom, size: tuple[int, int], syntax: str) -> None:
    """RLE states no size either."""
    down, across = np.mgrid[0 : size[1], 0 : size[0]]
    pixels = (2000 + 900 * np.sin(down / 11) + 900 * np.cos(across / 13)).astype(np.uint16)
    right: dict[str, Any] = {"rows": size[1], "columns": size[0], "samples_per_pixel": 1, "bits_allocated": 16}
    frames = [bytes(encode_pixel_data(pixels.tobytes(), byteorder="<", **right))]
    elements: dict[str, Any] = {"frames": frames} if syntax == RLELossless else {}
    with pytest.raises(Exception, match="are exchanged: the picture is sheared"):
        only_frame(make_dicom(pixels, syntax=syntax, Rows=size[0], Columns=size[1], **elements))


UNITS = np.where(ACROSS < 12, -2000, SMOOTH.astype(int) - 1300).astype(np.int16)
"""A CT from about -600 to 400, with padding of -2000 outside of its circle."""


@pytest.mark.parametrize("bits", [12, 16])
def test_padding_has_the_sign_of_the_pixels(make_dicom: MakeDicom, bits: int) -> None:
    """The sign is missing in the header: there, the padding is 63536, or its lowest bits 2096."""
    data = make_dicom(
        UNITS.view(np.uint16), BitsStored=bits, HighBit=bits - 1, PixelRepresentation=0, PixelPaddingValue=63536
    )
    frame, _ = only_frame(data)
    assert (frame.stored == UNITS).all()
    assert frame.grayscale.padding == (-2000, -2000)


def test_padding_with_more_bits_than_declared(make_dicom: MakeDicom) -> None:
    """The lowest 12 bits of -3024 are 1072, which is a value of the picture."""
    wide = 1000 + 2400 * np.sin(DOWN / 9) * np.cos(ACROSS / 11) + GRAIN / 4
    pixels = np.where((ACROSS < 12) & (DOWN < 3), -3024, wide).astype(np.int16)
    frame, _ = only_frame(make_dicom(pixels, BitsStored=12, HighBit=11, PixelRepresentation=1, PixelPaddingValue=-3024))
    assert (frame.stored == pixels).all()
    assert (frame.bits_stored, frame.grayscale.padding) == (13, (-3024, -3024))


@pytest.mark.parametrize("index", [0, 1])
def test_the_first_value_of_a_table_has_the_sign_of_the_pixels(make_dicom: MakeDicom, index: int) -> None:
    """It is -1024, which the header writes as 64512. Frame 1 has no negative values, so its sign is not refuted."""
    table = words(*range(4096))
    pixels = np.stack([np.maximum(UNITS, -1000), np.abs(UNITS)])
    elements: dict[str, Any] = {"NumberOfFrames": 2, "Rows": 64, "PixelRepresentation": 0}
    data = make_dicom(
        pixels.reshape(-1, 96).view(np.uint16), ModalityLUTSequence=[lut([4096, 64512, 12], table)], **elements
    )
    frame = read(data).frame(index)
    assert frame.grayscale.modality_lut is not None
    assert frame.grayscale.modality_lut.first == (-1024 if index == 0 else 64512)
    assert [each.grayscale for each in read(data).frames()][index] == frame.grayscale


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e38])
def test_floats_are_no_sheared_picture(make_dicom: MakeDicom, value: float) -> None:
    """Sums of their differences may be infinite or no numbers; a warning would fail the test."""
    pixels = np.where(np.add.outer(np.arange(16), np.arange(17)) % 2, value, -value).astype(np.float32)
    frame, detail = only_frame(make_dicom(np.zeros((16, 17), np.uint32), FloatPixelData=pixels.tobytes()))
    assert np.array_equal(frame.stored, pixels, equal_nan=True)
    assert detail is None


def test_colours_of_floats_stay_as_they_are(make_dicom: MakeDicom) -> None:
    """They are not lawful, and have no middle of the range."""
    pixels = np.full((20, 30, 3), np.nan, np.float32)
    pixels[..., 1:] = 2**31
    elements = {"Rows": 20, "Columns": 30, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    data = make_dicom(np.zeros((20, 90), np.uint32), PlanarConfiguration=0, FloatPixelData=pixels.tobytes(), **elements)
    frame, detail = only_frame(data)
    assert np.array_equal(frame.stored, pixels, equal_nan=True)
    assert detail is None


@pytest.mark.parametrize(("pixels", "refuted"), [(85, False), (86, True)])
def test_a_few_colours_refute_no_sign(make_dicom: MakeDicom, pixels: int, refuted: bool) -> None:
    """Fewer than 256 samples may look like anything."""
    samples = np.resize(np.array([100, 110, 120, 130, 140, 150], np.uint8), (1, pixels, 3))
    elements = {"Rows": 1, "Columns": pixels, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    raw = samples.tobytes() + bytes(samples.size % 2)
    sizes = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 1, "PlanarConfiguration": 0}
    frame, found = only_frame(make_dicom(raw, **elements, **sizes))
    assert (frame.stored.view(np.uint8) == samples).all()
    assert frame.stored.dtype == (np.uint8 if refuted else np.int8)
    assert found == ("The sign of the pixel values contradicts PixelRepresentation (0028,0103)." if refuted else None)
