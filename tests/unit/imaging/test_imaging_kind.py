"""What kind of image an object holds."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.dicom_image import Frame
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.read import read
from imaging.read_kind import is_grey, read_kind

MakeDicom = Callable[..., bytes]
PIXELS = np.arange(24, dtype=np.uint16).reshape(6, 4)


def test_the_kind_is_read_from_the_header(make_dicom: MakeDicom) -> None:
    """Each attribute has its place."""
    data = make_dicom(
        PIXELS,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        Modality="CT",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        BodyPartExamined="HEAD",
        ViewPosition="AP",
        QualityControlImage="YES",
    )

    assert read_kind(read(data)) == ImageKind(
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        modality="CT",
        image_type="ORIGINAL\\PRIMARY\\AXIAL",
        body_part="HEAD",
        view="AP",
        photometric="MONOCHROME2",
        rows=6,
        columns=4,
        quality_control=True,
    )


def test_an_ordinary_image_is_not_of_a_test_object(make_dicom: MakeDicom) -> None:
    """The attribute is absent, empty or NO."""
    assert not read_kind(read(make_dicom(PIXELS))).quality_control
    assert not read_kind(read(make_dicom(PIXELS, QualityControlImage="NO"))).quality_control


@pytest.mark.parametrize(("difference", "grey"), [(0, True), (5, True), (30, False)])
def test_a_colour_image_with_equal_channels_is_grey(difference: int, grey: bool) -> None:
    """Lossy compression moves channels by a few levels of 256."""
    ramp = np.tile(np.arange(200, dtype=np.uint8), (20, 1))
    colour = np.stack([ramp, ramp + np.uint8(difference), ramp], axis=-1)

    assert is_grey(Frame(index=0, stored=colour, bits_stored=8)) is grey


def test_a_few_coloured_pixels_do_not_make_a_picture_coloured() -> None:
    """One pixel of 4,000 is a speck; eight are an annotation."""
    pixels = np.full((40, 100, 3), 90, np.uint8)

    pixels[0, :1, 0] = 255
    assert is_grey(Frame(index=0, stored=pixels, bits_stored=8))
    pixels[0, :8, 0] = 255
    assert not is_grey(Frame(index=0, stored=pixels, bits_stored=8))


def test_a_gray_frame_is_grey() -> None:
    """It has no channels to compare."""
    assert is_grey(Frame(index=0, stored=PIXELS, bits_stored=16))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f4"])
@pytest.mark.parametrize(("red", "grey"), [(0, True), (2, True), (3, False), (-100, False)])
def test_channels_of_every_type_are_compared(dtype: str, red: int, grey: bool) -> None:
    """The tolerance is 2 % of the range: 2.54 of the 127 values of these floats, 2.56 of 7 stored bits."""
    pixels = np.full((10, 20, 3), 100, dtype)
    pixels[..., 0] = 100 + red
    pixels[0, 0], pixels[0, 1] = 0, 127

    assert is_grey(Frame(index=0, stored=pixels, bits_stored=7)) is grey


def test_a_png_file_has_size_and_colour_only() -> None:
    """It has no header."""
    grey = cv2.imencode(".png", np.zeros((5, 7), np.uint8))[1].tobytes()
    colour = cv2.imencode(".png", np.zeros((5, 7, 3), np.uint8))[1].tobytes()

    assert read_kind(read(grey, accept_raster=True)) == ImageKind(is_dicom=False, samples=GREY, rows=5, columns=7)
    assert read_kind(read(colour, accept_raster=True)).samples == COLOUR
