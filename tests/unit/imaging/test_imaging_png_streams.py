"""The pixels of PNG files, made chunk by chunk: their checksum, their end, and how much of them is inflated."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from test_imaging_raster import chunk

from imaging import raster
from imaging.limits import DEFAULT_LIMITS
from imaging.raster import read_raster
from nightread.errors import RejectImage
from nightread.reasons import Reason

ROWS = b"\x00\x01\x02\x03\x04\x00\x05\x06\x07\x08"
"""Two rows of four pixels, each behind its filter byte (PNG 9.2)."""
PIXELS = [[1, 2, 3, 4], [5, 6, 7, 8]]
CHECKSUM = (Reason.BAD_PIXELS, "The pixels of the picture do not match their checksum.")
NO_END = (Reason.TRUNCATED, "The pixels of the picture end too early, or do not end.")


def png(*coded: bytes, before: bytes = b"") -> bytes:
    """Return a grey file with these IDAT chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + before + b"".join(chunk(b"IDAT", each) for each in coded) + chunk(b"IEND", b"")
    )


def outcome(data: bytes) -> list[list[int]] | tuple[Reason, str]:
    """Return the pixels, or why the file is rejected."""
    try:
        (frame,) = read_raster(data, DEFAULT_LIMITS).frames()
    except RejectImage as rejected:
        return rejected.reason, rejected.detail
    return frame.stored.tolist()  # type: ignore[no-any-return]


CODED = zlib.compress(ROWS)


def test_the_pixels_may_be_in_several_chunks() -> None:
    """Also in empty ones, and behind others."""
    assert outcome(png(CODED)) == PIXELS
    assert outcome(png(CODED[:5], b"", CODED[5:])) == PIXELS
    assert outcome(png(*(CODED[at : at + 1] for at in range(len(CODED))))) == PIXELS
    assert outcome(png(CODED, before=chunk(b"tEXt", b"Title\0IDAT"))) == PIXELS


def test_a_wrong_checksum_is_noticed() -> None:
    """It is in a chunk of its own, so that OpenCV has all rows, and looks no further."""
    assert outcome(png(CODED[:-4], CODED[-4:])) == PIXELS
    assert outcome(png(CODED[:-4], CODED[-4:-1] + bytes([CODED[-1] ^ 1]))) == CHECKSUM


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_stream_without_its_whole_checksum_is_truncated(kept: int) -> None:
    """The chunks are whole, and all pixels are there."""
    assert outcome(png(CODED[:-4], CODED[-4:][:kept])) == NO_END


def test_bytes_behind_the_stream_are_ignored() -> None:
    """They are in the same chunk, or in one of their own."""
    assert outcome(png(CODED + b"abc")) == PIXELS
    assert outcome(png(CODED, b"abc")) == PIXELS


@pytest.mark.parametrize(("total", "expected"), [(40, PIXELS), (90, PIXELS), (149, PIXELS), (400, NO_END)])
def test_more_rows_than_the_picture_has_are_inflated_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, total: int, expected: object
) -> None:
    """Three times the eight pixels and 100 bytes more, in steps of 50: the third step is the last."""
    monkeypatch.setattr(raster, "_MOST_BEYOND", 100)
    monkeypatch.setattr(raster, "_INFLATED_AT_ONCE", 50)
    compressor = zlib.compressobj(0)
    coded = compressor.compress(ROWS.ljust(total, b"\0")) + compressor.flush()
    assert outcome(png(coded)) == expected


@pytest.mark.parametrize(("beyond", "expected"), [(76, NO_END), (77, PIXELS)])
def test_the_limit_is_three_times_the_pixels_and_some_bytes(
    monkeypatch: pytest.MonkeyPatch, beyond: int, expected: object
) -> None:
    """24 and 76 bytes are what two steps of 50 have inflated: then nothing is left for the third."""
    monkeypatch.setattr(raster, "_MOST_BEYOND", beyond)
    monkeypatch.setattr(raster, "_INFLATED_AT_ONCE", 50)
    compressor = zlib.compressobj(0)
    coded = compressor.compress(ROWS.ljust(120, b"\0")) + compressor.flush()
    assert outcome(png(coded)) == expected


def test_a_jpeg_file_whose_markers_a_decoder_forgives_is_rejected() -> None:
    """Its decoder fails where OpenCV does not: the reason is no error of the library."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    at = data.index(b"\xff\xda")
    broken = data[:at] + b"\xff\xfe\x00\x00\x00\x00" + data[at:]
    assert isinstance(outcome(broken), tuple)


def test_an_error_of_the_second_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lack of memory is none of the picture's."""
    data = cv2.imencode(".jpg", np.zeros((9, 9), np.uint8))[1].tobytes()

    def fail_with(error: type[Exception]) -> None:
        def decode_complete(_frame: bytes, _decode: object) -> None:
            raise error

        monkeypatch.setattr(raster, "decode_complete", decode_complete)

    fail_with(KeyError)
    assert outcome(data) == (Reason.BAD_PIXELS, "The decoder failed (KeyError).")
    fail_with(MemoryError)
    with pytest.raises(MemoryError):
        outcome(data)


def test_an_error_of_opencv_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises or returns nothing."""

    def fail(_data: object, _flags: int) -> None:
        raise cv2.error

    monkeypatch.setattr(cv2, "imdecode", fail)
    assert outcome(png(CODED)) == (Reason.BAD_PIXELS, "The decoder cannot read the picture.")
