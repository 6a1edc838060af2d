"""JPEG frames that are unusual but lawful are decoded: blank scans with one code, and pictures in CMYK (ITU-T T.81)."""

from io import BytesIO

import cv2
import imagecodecs
import numpy as np
import pytest
from jpeg_frames import LOSSLESS, TOO_LONG, frame_of, refused_by_libjpeg, size
from PIL import Image
from test_imaging_frame_headers import segment
from test_imaging_jpeg_markers import scan

from imaging.array import Array
from imaging.jpeg_complete import decode_complete
from imaging.jpeg_markers import read_markers
from imaging.limits import Limits
from imaging.raster import read_raster

ONE, TWO = (bytes((1, codes)) + bytes(14) + bytes(range(codes + 1)) for codes in (0, 1))
"""Tables with one and with two codes: `0` is the symbol 0, which is no difference, or the end of a block."""
DEFINE_HUFFMAN, RESTART_INTERVAL, QUANTISATION = 0xC4, 0xDD, 0xDB


def blank_bits(count: int) -> bytes:
    """Return this many codes `0`, with the padding."""
    return int("0" * count + "1" * (-count % 8), 2).to_bytes(-(-count // 8), "big")


def blank_lossless(rows: int, columns: int, *, table: bytes, restart: int, more: bytes = b"") -> bytes:
    """Return a grey frame whose restart intervals have `restart` pixels; 0: a single interval."""
    intervals = rows * columns // restart if restart else 1
    marks = (bytes((0xFF, 0xD0 + index % 8)) if index < intervals - 1 else more for index in range(intervals))
    coded = b"".join(blank_bits(restart or rows * columns) + mark for mark in marks)
    interval = segment(RESTART_INTERVAL, restart.to_bytes(2, "big")) if restart else b""
    header = size(rows, columns, marker=LOSSLESS)
    return frame_of(header, segment(DEFINE_HUFFMAN, b"\0" + table), interval, scan(first=1, last=0), coded)


@pytest.mark.parametrize(
    ("columns", "restart", "table"),
    [(64, 64, ONE), (64, 128, ONE), (7, 7, ONE), (64, 0, ONE), (64, 64, TWO), (8, 8, TWO)],
    ids=["row", "two rows", "seven pixels", "no restart", "two codes", "two codes, eight pixels"],
)
def test_a_blank_lossless_frame_is_decoded(columns: int, restart: int, table: bytes) -> None:
    """Also in short intervals, and if no bit of its data can matter."""
    pixels = decode_complete(blank_lossless(32, columns, table=table, restart=restart), imagecodecs.jpeg8_decode)
    assert np.array_equal(pixels, np.full((32, columns), 128))


def test_of_a_blank_lossless_frame_with_two_codes_the_data_must_fit() -> None:
    """Bytes that no pixel needs are refused."""
    assert refused_by_libjpeg(blank_lossless(32, 64, table=TWO, restart=64, more=bytes(4))) == TOO_LONG


def grey_in_colour(pixels: Array) -> bytes:
    """Return a grey picture in three scans, of which those for the colours are blank and have one code."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90, optimize=True)
    grey = stream.getvalue()
    jpeg = read_markers(grey)
    assert jpeg is not None
    tables = b"".join(segment(DEFINE_HUFFMAN, bytes((kind,)) + table) for kind, table in jpeg.tables.items())
    quantisation = grey.index(b"\xff\xdb")
    header = grey[quantisation : quantisation + 2 + int.from_bytes(grey[quantisation + 2 : quantisation + 4], "big")]
    one = segment(DEFINE_HUFFMAN, b"\x01" + ONE) + segment(DEFINE_HUFFMAN, b"\x11" + ONE)
    blank = blank_bits(2 * pixels.size // 64)
    first = jpeg.scans[0]
    return frame_of(
        header,
        size(*pixels.shape, sampling=b"\x11\x11\x11"),
        tables,
        scan(b"\x01\x00"),
        grey[first.start : first.end],
        one,
        scan(b"\x02\x11"),
        blank,
        scan(b"\x03\x11"),
        blank,
    )


def test_a_grey_picture_in_the_scans_of_a_coloured_one_is_decoded() -> None:
    """It ends with zeros, of which none can change the picture."""
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64)).astype(np.uint8)
    decoded = decode_complete(grey_in_colour(pixels), imagecodecs.jpeg8_decode)
    assert decoded.shape == (64, 64, 3)
    assert np.abs(decoded[..., 0].astype(int) - pixels).mean() < 8


def test_zeros_behind_the_coded_data_are_refused() -> None:
    """They are no padding (F.1.2.3), and look like lost data that somebody has filled up."""
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64)).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    frame = stream.getvalue()
    assert refused_by_libjpeg(frame) is None
    assert refused_by_libjpeg(frame[:-2] + bytes(4) + frame[-2:]) == TOO_LONG


@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_picture_with_four_components_is_decoded(transform: int, subsampling: int) -> None:
    """Of YCCK, a block without data is not grey, so that it does not mark the end."""
    blocks = np.random.default_rng(1).integers(0, 255, (16, 32, 4)).astype(np.uint8)
    stream = BytesIO()
    picture = Image.fromarray(blocks.repeat(8, 0).repeat(8, 1), "CMYK")
    picture.save(stream, "JPEG", quality=95, subsampling=subsampling)
    frame = bytearray(stream.getvalue())
    frame[frame.index(b"Adobe") + 11] = transform
    image = read_raster(bytes(frame), Limits())
    (found,) = image.source
    expected = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(found.stored, expected)


@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
def test_a_picture_with_four_components_that_is_cut_is_refused(transform: int) -> None:
    """An end marker does not make it whole."""
    pixels = np.random.default_rng(1).integers(0, 255, (64, 128, 4)).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels, "CMYK").save(stream, "JPEG", subsampling=0)
    frame = bytearray(stream.getvalue())
    frame[frame.index(b"Adobe") + 11] = transform
    for share in (0.5, 0.9, 0.99):
        assert refused_by_libjpeg(bytes(frame[: int(share * len(frame))]) + b"\xff\xd9") is not None
