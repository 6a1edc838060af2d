"""PNG and JPEG files: what is checked before a picture is decoded."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from imaging.errors import RejectDicomImage
from imaging.limits import DEFAULT_LIMITS, Limits
from imaging.raster import check_raster
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import Reason

PICTURE = np.arange(16 * 24, dtype=np.uint32).astype(np.uint8).reshape(16, 24)


def encoded(suffix: str, pixels: np.ndarray = PICTURE) -> bytes:
    """Return the bytes of a picture file."""
    _, data = cv2.imencode(suffix, pixels)
    return data.tobytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk (PNG 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def reason_and_detail(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Reason, str]:
    """Return why serving rejects the file, after a check that training rejects it for the same reason."""
    with pytest.raises(RejectImage) as checked:
        check_raster(data, limits)
    with pytest.raises(RejectDicomImage) as refusal:
        read(data, accept_raster=True, limits=limits)
    assert (checked.value.reason, checked.value.detail) == (refusal.value.reason, refusal.value.detail)
    return refusal.value.reason, refusal.value.detail


def test_the_only_frame_has_the_index_0() -> None:
    """As a frame of a DICOM object has, for previews and heat maps."""
    image = read(encoded(".png"), accept_raster=True)
    assert np.array_equal(image.frame(0).stored, PICTURE)
    with pytest.raises(IndexError):
        image.frame(1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("trailer", [b"", b"\x00", b"SEFT" + bytes(300), b"\x00" * 5000, b"IEN" * 100])
def test_bytes_behind_the_end_change_nothing(suffix: str, trailer: bytes) -> None:
    """Cameras add a trailer, and archives pad to a block."""
    data = encoded(suffix)
    assert check_raster(data + trailer, DEFAULT_LIMITS).in_colour is False
    (whole,), (longer,) = (read(each, accept_raster=True).frames() for each in (data, data + trailer))
    assert np.array_equal(whole.stored, longer.stored)


@pytest.mark.parametrize("lost", [1, 4, 12, 40, 100])
def test_a_picture_without_its_end_is_truncated(lost: int) -> None:
    """A decoder would fill the rest with grey."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    missing = "The end of the picture is missing"
    jpeg, png = encoded(".jpg", noise), encoded(".png", noise)
    assert reason_and_detail(jpeg[:-lost]) == (Reason.TRUNCATED, f"{missing} (marker FFD9).")
    cut = png[: -max(lost, 13)]  # The last chunk has 12 bytes, of which four are a checksum.
    assert reason_and_detail(cut) == (Reason.TRUNCATED, f"{missing} (chunk IEND).")


def test_the_end_of_a_preview_is_not_the_end_of_the_picture() -> None:
    """A JPEG in a marker segment before the scan has an end marker of its own (Exif)."""
    data, preview = encoded(".jpg"), encoded(".jpg", PICTURE[:8, :8])
    exif = b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview
    with_preview = data[:2] + exif + data[2:]
    assert check_raster(with_preview, DEFAULT_LIMITS).in_colour is False
    assert reason_and_detail(with_preview[:-2])[0] is Reason.TRUNCATED


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_colour_is_read_from_the_header(suffix: str) -> None:
    """A training set with one colour picture has three channels."""
    assert check_raster(encoded(suffix, np.stack([PICTURE] * 3, axis=-1)), DEFAULT_LIMITS).in_colour is True
    assert check_raster(encoded(suffix), DEFAULT_LIMITS).in_colour is False


@pytest.mark.parametrize(("samples", "coloured"), [(1, False), (2, True), (3, True), (4, True)])
def test_jpeg_components(samples: int, coloured: bool) -> None:
    """Only a picture of one component is grey."""
    components = b"".join(bytes((index, 0x11, 0)) for index in range(samples))
    header = b"\xff\xc0" + struct.pack(">HBHHB", 8 + len(components), 8, 5, 7, samples) + components
    data = b"\xff\xd8" + header + b"\xff\xda\x00\x02" + b"abc\xff\xd9"
    assert check_raster(data, DEFAULT_LIMITS).in_colour is coloured


@pytest.mark.parametrize(("colour_type", "coloured"), [(0, False), (2, True), (3, True), (4, False), (6, True)])
def test_png_colour_types(colour_type: int, coloured: bool) -> None:
    """Grey, RGB, palette, grey with transparency, RGB with transparency (PNG 11.2.2)."""
    header = struct.pack(">IIBBBBB", 4, 2, 8, colour_type, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    assert check_raster(data, DEFAULT_LIMITS).in_colour is coloured


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_size_is_limited_before_decoding(suffix: str) -> None:
    """16 x 24 pixels are 384."""
    data = encoded(suffix)
    assert check_raster(data, Limits(frame_pixels=384)).in_colour is False
    too_large = (Reason.TOO_LARGE, "The size of the picture exceeds the limit max_frame_pixels.")
    assert reason_and_detail(data, Limits(frame_pixels=383)) == too_large


def test_damaged_pictures_are_bad_pixels() -> None:
    """The file begins like a picture and has an end, but no frame header, or data that cannot be decoded."""
    assert reason_and_detail(b"\xff\xd8\xff\xd9" + bytes(40)) == (Reason.BAD_PIXELS, "The picture has no frame header.")
    png = encoded(".png")
    at = png.index(b"IDAT") + 4
    with pytest.raises(RejectDicomImage) as refusal:
        read(png[:at] + bytes(60) + png[at + 60 :], accept_raster=True)
    assert (refusal.value.reason, refusal.value.detail) == (
        Reason.BAD_PIXELS,
        "The decoder cannot read the picture.",
    )
    assert reason_and_detail(b"\x89PNG\r\n\x1a\n" + bytes(10)) == (
        Reason.TRUNCATED,
        "The picture ends within its header.",
    )


def test_other_files_are_no_pictures() -> None:
    """Training names them; serving reads them as DICOM."""
    for data, reason in ((b"GIF89a", Reason.BAD_PIXELS), (b"", Reason.EMPTY)):
        with pytest.raises(RejectImage) as refusal:
            check_raster(data, DEFAULT_LIMITS)
        assert refusal.value.reason is reason
