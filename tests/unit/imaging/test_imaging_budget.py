"""An object may declare as many pixels and frames, and take as many seconds, as its bytes can hold."""

from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import PLAIN, MakeDicom, phantom
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from imaging import tags
from imaging.budget import check_density, object_seconds
from imaging.pixel_layout import PixelLayout
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import Reason

MIB = 1024**2


def layout(rows: int, frames: int, *, bits: int = 16, samples: int = 1) -> PixelLayout:
    """Return the layout of square frames."""
    return PixelLayout(
        rows=rows,
        columns=rows,
        frames=frames,
        samples=samples,
        photometric="MONOCHROME2" if samples == 1 else "RGB",
        planar=False,
        bits_allocated=bits,
        bits_stored=bits,
        high_bit=bits - 1,
        signed=False,
        pixel_tag=tags.PIXEL_DATA,
    )


@pytest.mark.parametrize(
    ("of", "stored_bytes"),
    [
        (layout(512, 2000), 200 * MIB),
        (layout(512, 2000), 2000 * 120),  # all frames blank, JPEG 2000: 1,000 MiB of pixels
        (layout(256, 40_000, bits=8, samples=3), 40_000 * 650),  # a slide of glass in JPEG
        (layout(2048, 80), 80 * 3 * MIB),  # tomosynthesis
        (layout(1024, 600, bits=8), 600 * 20_000),  # angiography
        (layout(10_000, 1, bits=8), 350),
        (layout(16, 1000, bits=8), 1),
        (layout(64, 100_000, bits=1), 100_000 * 512),
        (layout(512, 1024), 1024 * 32),  # exactly 512 MiB of blank frames, with exactly 32 bytes each
    ],
)
def test_lawful_objects_pass(of: PixelLayout, stored_bytes: int) -> None:
    """Large cines, tomosyntheses, slides and CTs, and blank frames of a usual size."""
    check_density(of, stored_bytes)


@pytest.mark.parametrize(
    ("of", "stored_bytes", "detail"),
    [
        (layout(10_000, 80, bits=8), 28_000, "All 80 frames together would have 8,000,000,000 bytes"),
        (layout(512, 1025), 1025 * 32, "All 1,025 frames together would have 537,395,200 bytes"),
        (layout(512, 4000), 4000 * 80, "more than 5,000 times as many"),
        (layout(1, 100_000, bits=8), 100_000, "The object has 100,000 frames in 100,000 bytes"),
        (layout(8, 1001, bits=8), 32_031, "less than 32 bytes per frame"),
    ],
)
def test_more_than_the_bytes_can_hold_is_too_large(of: PixelLayout, stored_bytes: int, detail: str) -> None:
    """28 kB with 80 frames of 100 million pixels kept a process busy for a minute."""
    with pytest.raises(RejectImage, match=detail) as caught:
        check_density(of, stored_bytes)
    assert caught.value.reason is Reason.TOO_LARGE


def test_the_frames_are_not_decoded_before_the_check() -> None:
    """80 frames of 9,000 x 9,000 pixels are refused by the header and the lengths of their fragments."""
    stream = imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint8), level=0, reversible=True, codecformat="j2k")
    dataset = pydicom.dcmread(BytesIO(phantom(1, PLAIN)))
    dataset.Rows = dataset.Columns = 9000
    dataset.NumberOfFrames, dataset.PixelData = 80, encapsulate([stream] * 80)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    with pytest.raises(RejectImage, match="All 80 frames together") as caught:
        read(written.getvalue())
    assert caught.value.reason is Reason.TOO_LARGE


def test_the_bytes_of_the_frames_are_known(make_dicom: MakeDicom) -> None:
    """Of uncompressed pixels they follow from the layout, of compressed ones from the fragments."""
    assert read(phantom(1, PLAIN)).stored_bytes == 64 * 64 * 2
    pixels = np.zeros((2, 8, 8), np.uint8)
    frames = [
        bytes(imagecodecs.jpegls_encode(each)) + padding
        for each, padding in zip(pixels, (b"", b"\0" * 10), strict=True)
    ]
    lengths = [len(each) + len(each) % 2 for each in frames]
    assert read(make_dicom(pixels, syntax=JPEGLSLossless, frames=frames, HighBit=7)).stored_bytes == sum(lengths)


@pytest.mark.parametrize(
    ("frames", "stored_bytes", "frame_seconds", "seconds"),
    [
        (1, 28_000, 60, 60),
        (80, 0, 60, 10),
        (80, 256 * 1024 * 10, 60, 20),
        (2000, 256 * MIB, 60, 10 + 1024),
        (80, 256 * 1024 * 10, 120, 20 + 20),
        (80, 0, 1, 1),
    ],
)
def test_an_object_may_take_seconds_by_its_bytes(
    frames: int, stored_bytes: int, frame_seconds: float, seconds: float
) -> None:
    """10 s or a sixth of the limit of one frame, and 4 s per MiB; a longer limit of one frame gives more."""
    assert object_seconds(frames, stored_bytes, frame_seconds) == seconds
