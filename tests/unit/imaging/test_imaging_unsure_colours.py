"""Three samples under the label YBR_FULL_422: what their colours are is decided once for all frames, and said."""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import JPEGLSLossless

from imaging.array import Array
from imaging.read import read
from imaging.remarks import Remarks

HEADER = {
    "SamplesPerPixel": 3, "PlanarConfiguration": 0, "HighBit": 7, "BitsStored": 8, "BitsAllocated": 8,
    "PixelRepresentation": 0, "PhotometricInterpretation": "YBR_FULL_422",
}  # fmt: skip
SIZE = 16


def field(*colour: int) -> Array:
    """Return a picture of one colour."""
    return np.full((SIZE, SIZE, 3), colour, np.uint8)


def frames_of(make_dicom: MakeDicom, *pictures: Array, **elements: Any) -> tuple[list[list[int]], Remarks]:
    """Return the first pixel of each frame, and the remarks."""
    pixels = b"".join(picture.tobytes() for picture in pictures)
    image = read(make_dicom(pixels, Rows=SIZE, Columns=SIZE, NumberOfFrames=len(pictures), **HEADER, **elements))
    return [frame.stored[0, 0].tolist() for frame in image.frames()], image.remarks


def test_equal_samples_are_grey_rgb(make_dicom: MakeDicom) -> None:
    """(90, 90, 90) would be a dark green as YBR."""
    colours, remarks = frames_of(make_dicom, field(90, 90, 90))

    assert colours == [[90, 90, 90]]
    assert remarks.words == "colour_unsure"
    assert remarks.detail is not None
    assert "look like RGB" in remarks.detail


def test_two_samples_in_the_middle_are_grey_ybr(make_dicom: MakeDicom) -> None:
    """(90, 128, 128) is grey, and a dull blue as RGB."""
    colours, remarks = frames_of(make_dicom, field(90, 128, 128))

    assert colours == [[90, 90, 90]]
    assert remarks.words == "colour_unsure"
    assert remarks.detail is not None
    assert "look like YBR_FULL" in remarks.detail


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_all_frames_are_taken_for_the_same(make_dicom: MakeDicom, order: tuple[int, int]) -> None:
    """Alone, (100, 120, 110) could be YBR; beside a grey frame it is RGB."""
    pictures = [field(90, 90, 90), field(100, 120, 110)]

    colours, _ = frames_of(make_dicom, *(pictures[index] for index in order))

    assert colours == [[[90, 90, 90], [100, 120, 110]][index] for index in order]


def test_a_compressed_picture_that_does_not_say_is_decided_too(make_dicom: MakeDicom) -> None:
    """JPEG-LS has no marker for colours."""
    pictures = [field(100, 120, 110), field(90, 90, 90)]
    frames = [bytes(imagecodecs.jpegls_encode(picture)) for picture in pictures]
    shape = {"Rows": SIZE, "Columns": SIZE, "NumberOfFrames": 2}

    image = read(make_dicom(b"", syntax=JPEGLSLossless, frames=frames, **shape, **HEADER))

    assert [frame.stored[0, 0].tolist() for frame in image.frames()] == [[100, 120, 110], [90, 90, 90]]
    assert image.remarks.words == "colour_unsure"


def test_subsampled_pixels_are_what_the_label_says(make_dicom: MakeDicom) -> None:
    """Two bytes for each pixel: no guess, and no remark."""
    pixels = bytes([90, 90, 128, 128]) * (SIZE * SIZE // 2)

    image = read(make_dicom(pixels, Rows=SIZE, Columns=SIZE, **HEADER))

    assert [frame.stored[0, 0].tolist() for frame in image.frames()] == [[90, 90, 90]]
    assert not image.remarks
