"""RLE frames as their writers make them (PS3.5 annex G)."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from pydicom.uid import RLELossless

from imaging.array import Array
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import Reason

MakeDicom = Callable[..., bytes]
PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
LITERAL = bytes([63]) + PIXELS.tobytes()
"""One literal run of all 64 pixels."""
COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "HighBit": 7}


def frame(segments: Sequence[bytes], *, count: int | None = None, offsets: Sequence[int] | None = None) -> bytes:
    """Return an RLE frame; `count` and `offsets` replace what the header says."""
    starts = [64 + sum(map(len, segments[:index])) for index in range(len(segments))] if offsets is None else offsets
    header = [len(segments) if count is None else count, *starts, *[0] * (15 - len(starts))]
    return struct.pack("<16I", *header) + b"".join(segments)


def decoded(make_dicom: MakeDicom, pixels: Array, encoded: bytes, **elements: Any) -> Array:
    """Return the only frame."""
    (only,) = read(make_dicom(pixels, syntax=RLELossless, frames=[encoded], **elements)).frames()
    return only.stored


TOLERATED = {
    "as the standard says": frame([LITERAL]),
    "padded to an even length": frame([LITERAL + b"\0"]),
    "padded with a literal run that is cut": frame([LITERAL + b"\x05\x01"]),
    "padded with no operations": frame([LITERAL + b"\x80\x80\x80"]),
    "a run of zeros follows": frame([LITERAL + bytes([257 - 9, 0])]),
    "a run header is the last byte": frame([LITERAL + b"\xf0"]),
    "the last run is longer than the picture": frame([bytes([79]) + PIXELS.tobytes() + bytes(16)]),
    "the number of segments is wrong": frame([LITERAL], count=3),
    "the number of segments is zero": frame([LITERAL], count=0),
    "there is more behind the last offset": frame([LITERAL], count=1, offsets=[64, 99, 70]),
    "the first segment begins later": frame([b"\x80\x80", LITERAL], count=1, offsets=[66]),
}


@pytest.mark.parametrize("encoded", TOLERATED.values(), ids=list(TOLERATED))
def test_a_frame_with_all_its_pixels_is_decoded(make_dicom: MakeDicom, encoded: bytes) -> None:
    """What follows the last pixel of a segment does not matter; the offsets tell where segments begin."""
    assert np.array_equal(decoded(make_dicom, PIXELS, encoded, HighBit=7), PIXELS)


@pytest.mark.parametrize("padding", [b"", b"\0", b"\x00\x07", b"\x05\x01", bytes([257 - 9, 0])])
def test_padding_of_one_plane_does_not_shift_the_next(make_dicom: MakeDicom, padding: bytes) -> None:
    """Red, green and blue are segments of their own."""
    planes = [PIXELS, 255 - PIXELS, PIXELS // 2]
    encoded = frame([bytes([63]) + plane.tobytes() + padding for plane in planes])

    pixels = decoded(make_dicom, np.stack(planes, -1), encoded, **COLOUR)

    assert np.array_equal(pixels, np.stack(planes, -1))


@pytest.mark.parametrize("padding", [b"", b"\0", b"\x00\x07"])
def test_the_high_bytes_of_wide_pixels_come_first(make_dicom: MakeDicom, padding: bytes) -> None:
    """A pixel of 16 or 32 bits has a segment for each byte."""
    for dtype in (np.uint16, np.uint32):
        wide = PIXELS.astype(dtype) * 0x01020304 if dtype is np.uint32 else PIXELS.astype(dtype) * 0x0102
        size = wide.dtype.itemsize
        big = wide.astype(wide.dtype.newbyteorder(">")).tobytes()
        segments = [bytes([63]) + big[byte::size] + padding for byte in range(size)]
        pixels = decoded(make_dicom, wide, frame(segments), HighBit=8 * size - 1)
        assert np.array_equal(pixels, wide), dtype


def test_signed_pixels(make_dicom: MakeDicom) -> None:
    """PixelRepresentation gives the sign."""
    signed = (PIXELS.astype(np.int16) - 32).astype(np.int8)

    pixels = decoded(make_dicom, signed, frame([bytes([63]) + signed.tobytes()]), HighBit=7)

    assert pixels.dtype == np.int8
    assert np.array_equal(pixels, signed)


REFUSED = {
    "a pixel is missing": (frame([bytes([62]) + PIXELS.tobytes()[:63]]), Reason.TRUNCATED),
    "the header is cut": (frame([LITERAL])[:50], Reason.TRUNCATED),
    "two segments for one byte": (frame([LITERAL, LITERAL]), Reason.BAD_PIXELS),
    "no segment": (frame([LITERAL], count=1, offsets=[]), Reason.BAD_PIXELS),
    "a segment in the header": (frame([LITERAL], offsets=[32]), Reason.BAD_PIXELS),
    "a segment behind the end": (frame([LITERAL], offsets=[5000]), Reason.BAD_PIXELS),
}


@pytest.mark.parametrize(("encoded", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_a_damaged_frame_is_rejected(make_dicom: MakeDicom, encoded: bytes, reason: Reason) -> None:
    """No pixel is invented."""
    with pytest.raises(RejectImage) as refusal:
        decoded(make_dicom, PIXELS, encoded, HighBit=7)

    assert refusal.value.reason is reason
