"""Where the pixels contradict BitsStored, HighBit or the sign of the header, they decide, and the result says so."""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)
from voi_files import lut, shown, words

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.intensity import full_range
from imaging.read import read
from imaging.remarks import Remarks
from imaging.voi import Ramp
from nightread.errors import RejectImage
from nightread.reasons import Reason

SIZE = 16
TWELVE = {"BitsStored": 12, "HighBit": 11}
SHADES = np.arange(SIZE * SIZE).reshape(SIZE, SIZE).astype(np.uint16)
"""256 values of 8 bits."""
VALUES = SHADES * 16 + 7
FLAT = np.full((SIZE, SIZE), 255, np.uint8)
CODED = {
    JPEGBaseline8Bit: bytes(imagecodecs.jpeg8_encode(FLAT, level=100)),
    JPEG2000Lossless: bytes(imagecodecs.jpeg2k_encode(FLAT, level=0, codecformat="j2k", reversible=True)),
}


def only_frame(data: bytes) -> tuple[Frame, Remarks]:
    """Return the frame of an image with one frame, and the remarks on it."""
    image = read(data)
    (frame,) = image.frames()
    return frame, image.remarks


def coded(make_dicom: MakeDicom, syntax: UID, stream: bytes, **elements: Any) -> bytes:
    """Return a file with one compressed frame whose header says 12 bits."""
    return make_dicom(VALUES, syntax=syntax, frames=[stream], **{**TWELVE, **elements})


@pytest.mark.parametrize("stored", [12, 16])
@pytest.mark.parametrize("syntax", list(CODED), ids=["JPEG", "JPEG 2000"])
def test_a_stream_of_8_bits_is_white_at_255(make_dicom: MakeDicom, syntax: UID, stored: int) -> None:
    """The header still says 12 or 16 bits: without this the picture would be nearly black."""
    data = coded(make_dicom, syntax, CODED[syntax], BitsStored=stored, HighBit=stored - 1)

    values, remarks = shown(data)

    assert set(values) == {1}
    assert remarks.words == "bits_wrong"
    assert remarks.detail == (f"The compressed frames have 8 bits per sample, but BitsStored (0028,0101) is {stored}.")


WIDE_LUT = Sequence([lut([4096, 0, 12], words(*range(4096)))])


@pytest.mark.parametrize(
    "voi",
    [
        {"WindowCenter": "2048", "WindowWidth": "4096"},
        {"WindowCenter": "2048", "WindowWidth": "4096", "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": "40", "WindowWidth": "400", "RescaleSlope": "1", "RescaleIntercept": "-1024"},
        {"VOILUTSequence": WIDE_LUT},
    ],
    ids=["wide window", "sigmoid", "rescaled", "table"],
)
def test_a_window_of_the_pixels_before_scaling_is_not_used(make_dicom: MakeDicom, voi: dict[str, Any]) -> None:
    """Most of it lies beyond what 8 bits can hold. A bundle may refuse the image."""
    data = coded(make_dicom, JPEGBaseline8Bit, CODED[JPEGBaseline8Bit], **voi)

    values, remarks = shown(data)

    assert set(values) == {1}
    assert remarks.words == "bits_wrong voi_not_used"
    with pytest.raises(RejectImage) as refusal:
        shown(data, unusable="refuse")
    assert refusal.value.reason is Reason.VOI_UNUSABLE


def test_a_window_that_fits_the_8_bits_is_used(make_dicom: MakeDicom) -> None:
    """LINEAR_EXACT with center 255 and width 200: 255 is in the middle, and 55 of 200 values lie beyond 8 bits."""
    window = {"WindowCenter": "255", "WindowWidth": "200", "VOILUTFunction": "LINEAR_EXACT"}

    values, remarks = shown(coded(make_dicom, JPEGBaseline8Bit, CODED[JPEGBaseline8Bit], **window))

    assert values == pytest.approx([0.5] * SIZE * SIZE, abs=1e-6)
    assert remarks.words == "bits_wrong"


def test_a_lossless_stream_of_only_the_needed_bits_keeps_its_units(make_dicom: MakeDicom) -> None:
    """10 bits of 12: the values were not scaled, so the full range is that of 12 bits, and the window fits."""
    stream = bytes(imagecodecs.jpeg8_encode(np.full((SIZE, SIZE), 819, np.uint16), lossless=True, bitspersample=10))
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}

    plain, remarks = shown(coded(make_dicom, JPEGLosslessSV1, stream))
    windowed, _ = shown(coded(make_dicom, JPEGLosslessSV1, stream, **window))

    assert plain == pytest.approx([0.2] * SIZE * SIZE, abs=1e-6)
    assert windowed == pytest.approx([0.2] * SIZE * SIZE, abs=1e-6)
    assert remarks.words == "bits_wrong"


def test_a_lossy_stream_has_no_negative_values(make_dicom: MakeDicom) -> None:
    """PixelRepresentation is left from the pixels before the compression: 255 is white, and not -1."""
    frame, _ = only_frame(coded(make_dicom, JPEGBaseline8Bit, CODED[JPEGBaseline8Bit], PixelRepresentation=1))

    assert frame.stored.min() == 255
    assert full_range(frame) == Ramp(low=0, high=255)


def test_more_bits_than_stored_need_no_remark(make_dicom: MakeDicom) -> None:
    """Encoders often write 16 bits for 12."""
    stream = bytes(imagecodecs.jpeg2k_encode(VALUES, level=0, codecformat="j2k", reversible=True, bitspersample=16))

    frame, remarks = only_frame(coded(make_dicom, JPEG2000Lossless, stream))

    assert np.array_equal(frame.stored, VALUES)
    assert frame.bits_stored == 12
    assert not remarks


def test_colours_of_8_bits_below_a_header_of_16(make_dicom: MakeDicom) -> None:
    """RGB too is scaled by the bits of the stream."""
    stream = bytes(imagecodecs.jpeg2k_encode(np.full((SIZE, SIZE, 3), 200, np.uint8), level=0, codecformat="j2k"))
    shape = {"Rows": SIZE, "Columns": SIZE, "SamplesPerPixel": 3, "PlanarConfiguration": 0, "BitsAllocated": 16}
    labels = {"PhotometricInterpretation": "RGB", "PixelRepresentation": 0, "BitsStored": 16}

    frame, remarks = only_frame(make_dicom(b"", syntax=JPEG2000Lossless, frames=[stream], **shape, **labels))

    assert frame.bits_stored == 8
    assert remarks.words == "bits_wrong"


def rle(pixels: Array) -> bytes:
    """Return an RLE frame of two segments, high bytes first, in literal runs."""
    segments = [pixels.astype(">u2").tobytes()[byte::2] for byte in (0, 1)]
    packed = [b"".join(b"\x7f" + part[at : at + 128] for at in range(0, len(part), 128)) for part in segments]
    return np.array([2, 64, 64 + len(packed[0]), *[0] * 13], "<u4").tobytes() + b"".join(packed)


def in_form(make_dicom: MakeDicom, form: str, pixels: Array, **elements: Any) -> bytes:
    """Return a file with these words, uncompressed, in RLE or in JPEG lossless of 16 bits."""
    if form == "native":
        return make_dicom(pixels, **elements)
    if form == "RLE":
        return make_dicom(pixels, syntax=RLELossless, frames=[rle(pixels)], **elements)
    stream = bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=16))
    return make_dicom(pixels, syntax=JPEGLosslessSV1, frames=[stream], **elements)


FORMS = ["native", "RLE", "JPEG lossless"]


@pytest.mark.parametrize("form", FORMS)
def test_values_in_the_low_bits_are_not_shifted_away(make_dicom: MakeDicom, form: str) -> None:
    """HighBit 15 with 12 bits, but the highest word is 0x0FF7: nothing is where the highest bits should be."""
    frame, remarks = only_frame(in_form(make_dicom, form, VALUES, BitsStored=12, HighBit=15))

    assert np.array_equal(frame.stored, VALUES)
    assert remarks.words == "bits_wrong"
    assert remarks.detail == "The pixel values begin at bit 0, which contradicts HighBit (0028,0102)."


def test_signed_values_in_the_low_bits_are_not_shifted_away(make_dicom: MakeDicom) -> None:
    """The sign is extended: -2041 to 2039, all of whose bits are in use."""
    signed = VALUES.astype(np.int16) - 2048

    frame, remarks = only_frame(make_dicom(signed, BitsStored=12, HighBit=15))

    assert np.array_equal(frame.stored, signed)
    assert remarks.words == "bits_wrong"


@pytest.mark.parametrize(
    "dark",
    [SHADES % 16 << 4, np.where(SHADES < 64, 15, 0).astype(np.uint16), np.where(SHADES < 64, 0x2F, 0x20)],
    ids=["dark", "black with an overlay", "dark with an overlay"],
)
def test_dark_values_at_the_high_bit_are_shifted(make_dicom: MakeDicom, dark: Array) -> None:
    """Lawful: the values end at bit 15, and the four bits below are zero, or an overlay in a part of the picture."""
    frame, remarks = only_frame(make_dicom(dark.astype(np.uint16), BitsStored=12, HighBit=15))

    assert np.array_equal(frame.stored, dark >> 4)
    assert not remarks


@pytest.mark.parametrize("form", FORMS)
def test_smooth_values_beyond_the_stored_bits_are_kept(make_dicom: MakeDicom, form: str) -> None:
    """A ramp up to 5,100 has 13 bits. Cut to 12 bits it would leap from 4,095 to 0."""
    ramp = SHADES * 20

    frame, remarks = only_frame(in_form(make_dicom, form, ramp, **TWELVE))

    assert np.array_equal(frame.stored, ramp)
    assert frame.bits_stored == 13
    assert remarks.detail == "The pixel values have 13 bits, but BitsStored (0028,0101) is 12."


@pytest.mark.parametrize("form", FORMS)
def test_an_overlay_above_smooth_values_is_dropped(make_dicom: MakeDicom, form: str) -> None:
    """A box in bit 12 has edges that the picture below does not have."""
    box = np.zeros((SIZE, SIZE), np.uint16)
    box[4:9, 4:9] = 1 << 12

    frame, remarks = only_frame(in_form(make_dicom, form, VALUES | box, **TWELVE))

    assert np.array_equal(frame.stored, VALUES)
    assert not remarks


@pytest.mark.parametrize("bits", [12, 16])
def test_a_signed_stream_keeps_its_negative_values(make_dicom: MakeDicom, bits: int) -> None:
    """PixelRepresentation says unsigned. Taken for unsigned, -1 would be 4,095."""
    signed = VALUES.astype(np.int16) - 2048
    stream = bytes(imagecodecs.jpeg2k_encode(signed, level=0, codecformat="j2k", reversible=True, bitspersample=bits))

    frame, remarks = only_frame(coded(make_dicom, JPEG2000Lossless, stream))

    assert np.array_equal(frame.stored, signed)
    assert full_range(frame) == Ramp(low=-2048, high=2047)
    assert remarks.words == "bits_wrong"


def test_an_empty_table_in_a_group_does_not_hide_the_window(make_dicom: MakeDicom) -> None:
    """The shared functional groups have a VOI LUT sequence of undefined length without an item."""
    group = Dataset()
    group.FrameVOILUTSequence = Sequence([Dataset()])
    group.FrameVOILUTSequence[0].VOILUTSequence = Sequence([])
    group.FrameVOILUTSequence[0]["VOILUTSequence"].is_undefined_length = True
    row = np.array([[0, 1, 2, 3]], np.uint16)
    window = {"WindowCenter": "1.5", "WindowWidth": "4"}

    values, remarks = shown(make_dicom(row, SharedFunctionalGroupsSequence=Sequence([group]), **window))

    assert values == pytest.approx([1 / 6, 0.5, 5 / 6, 1], abs=1e-6)
    assert not remarks
