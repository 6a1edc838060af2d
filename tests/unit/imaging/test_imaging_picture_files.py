"""What a PNG or JPEG file says of itself, to the last byte of its header and its end."""

import struct

import cv2
import numpy as np
import pytest

from imaging.errors import RejectDicomImage
from imaging.facts import Facts
from imaging.limits import DEFAULT_LIMITS
from imaging.raster import RasterHeader, check_raster, is_raster, read_raster
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import Reason

GREY = (np.arange(5 * 7) * 7).reshape(5, 7).astype(np.uint8)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    """Return the bytes of a picture file."""
    return bytes(cv2.imencode(suffix, pixels)[1].tobytes())


def detail_of(data: bytes) -> str:
    """Return why a picture is truncated."""
    with pytest.raises(RejectImage) as refusal:
        check_raster(data, DEFAULT_LIMITS)
    assert refusal.value.reason is Reason.TRUNCATED
    return refusal.value.detail


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_header_has_rows_columns_and_colour(suffix: str) -> None:
    """5 rows of 7 pixels."""
    assert check_raster(encoded(suffix, GREY), DEFAULT_LIMITS) == RasterHeader(rows=5, columns=7, in_colour=False)
    coloured = encoded(suffix, np.stack([GREY] * 3, axis=-1))
    assert check_raster(coloured, DEFAULT_LIMITS) == RasterHeader(rows=5, columns=7, in_colour=True)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16)])
def test_a_picture_is_one_frame_with_the_bits_of_its_type(dtype: type, bits: int) -> None:
    """The facts name the decoder; the database has no other value for a picture."""
    pixels = GREY.astype(dtype) << (bits - 8)
    image = read_raster(encoded(".png", pixels), DEFAULT_LIMITS)
    (frame,) = image.frames()
    assert image.facts == Facts(rows=5, columns=7, frames=1, decoder=f"opencv {cv2.__version__}")
    assert (image.frame_count, image.elements, frame.index, frame.bits_stored) == (1, None, 0, bits)
    assert np.array_equal(frame.stored, pixels)


def test_colours_are_red_green_and_blue() -> None:
    """The decoder gives blue first. Transparency is dropped."""
    rgba = np.array([[[30, 20, 10, 255], [3, 2, 1, 0]]], np.uint8)
    for channels in (3, 4):
        (frame,) = read_raster(encoded(".png", rgba[..., :channels]), DEFAULT_LIMITS).frames()
        assert frame.stored.tolist() == [[[10, 20, 30], [1, 2, 3]]]


def test_a_png_header_has_26_bytes_at_least() -> None:
    """The colour type is the last of them."""
    data = encoded(".png", GREY)
    assert detail_of(data[:25]) == "The picture ends within its header."
    assert detail_of(data[:26]) == "The end of the picture is missing (chunk IEND)."


def test_the_checksum_of_the_last_png_chunk_may_be_missing() -> None:
    """Length and type are enough: the chunk is empty."""
    data = encoded(".png", GREY)
    assert data[-8:-4] == b"IEND"
    assert check_raster(data[:-4], DEFAULT_LIMITS).rows == 5
    assert detail_of(data[:-5]) == "The end of the picture is missing (chunk IEND)."


def test_the_length_of_a_png_chunk_decides_where_the_next_begins() -> None:
    """An IEND within the data of a chunk is no end."""
    data = encoded(".png", GREY)
    text = struct.pack(">I4s", 12, b"tEXt") + b"\0\0\0\0IEND\0\0\0\0" + bytes(4)
    at = data.index(b"IDAT") - 4
    assert check_raster(data[:at] + text + data[at:], DEFAULT_LIMITS).rows == 5
    assert detail_of(data[:at] + text) == "The end of the picture is missing (chunk IEND)."


def test_a_picture_is_known_by_its_first_bytes() -> None:
    """Eight of PNG, or three of JPEG."""
    assert is_raster(SIGNATURE)
    assert is_raster(b"\xff\xd8\xff")
    for data in (b"", SIGNATURE[:-1], b"\xff\xd8", b"?" + SIGNATURE, b"?\xff\xd8\xff"):
        assert not is_raster(data)


@pytest.mark.parametrize("data", [b"GIF89a", SIGNATURE[:-1], b"\xff\xd8"])
def test_another_file_is_named(data: bytes) -> None:
    """It is not read as a JPEG without a header."""
    with pytest.raises(RejectImage) as refusal:
        check_raster(data, DEFAULT_LIMITS)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_PIXELS, "The file is neither PNG nor JPEG.")


def test_a_picture_that_cannot_be_decoded_has_a_reason() -> None:
    """Its header and its end are there, but nothing between."""
    header = encoded(".png", GREY)
    empty = header[: header.index(b"IDAT") - 4] + header[-12:]
    with pytest.raises(RejectDicomImage) as refusal:
        read(empty, accept_raster=True)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_PIXELS, "The decoder cannot read the picture.")
