"""How far a deflated data set is inflated, with data sets made by hand (PS3.5 section A.5)."""

import struct
import zlib
from dataclasses import replace

import pytest

from imaging.deflate import inflate
from imaging.limits import DEFAULT_LIMITS, Limits
from nightread.errors import RejectImage
from nightread.reasons import Reason

KIB = 1024
FRAME = 300 * 300 * 2
"""Bytes of one frame, more than the first 64 KiB."""


NESTED = bytes.fromhex("08001511 53510000 FFFFFFFF FEFF00E0 FFFFFFFF")
"""A sequence and its item, both of undefined length."""


def short(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, size) + value


def us(tag: int, value: int) -> bytes:
    return short(tag, b"US", struct.pack("<H", value))


def header(*, rows: int = 300, frames: int = 1, private: int = 0) -> bytes:
    """Return the elements before the pixel data; `private` bytes make them larger."""
    elements = [
        long(0x00091010, b"OB", bytes(private)) if private else b"",
        us(0x00280002, 1),
        short(0x00280004, b"CS", b"MONOCHROME2 "),
        short(0x00280008, b"IS", f"{frames:<2}".encode()),
        us(0x00280010, rows),
        us(0x00280011, 300),
        us(0x00280100, 16),
        us(0x00280101, 16),
        us(0x00280103, 0),
    ]
    return b"".join(elements)


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def inflated(data: bytes, limits: Limits = DEFAULT_LIMITS) -> int:
    """Return the number of inflated bytes, which are those of the data set."""
    found = inflate(deflated(data), 0, limits)
    assert data.startswith(found)
    return len(found)


def failure(data: bytes, limits: Limits = DEFAULT_LIMITS, begin: int = 0) -> tuple[Reason, str]:
    """Return reason and detail of the rejection."""
    with pytest.raises(RejectImage) as raised:
        inflate(data, begin, limits)
    return raised.value.reason, raised.value.detail


@pytest.mark.parametrize(
    ("declared", "stored", "inflated_pixels"),
    [
        (1, FRAME, FRAME),
        (1, FRAME + 1, FRAME + 1),
        (1, FRAME + 2, FRAME),
        (1, FRAME + 90_000, FRAME),
        (1, 2 * FRAME, 2 * FRAME),
        (1, 2 * FRAME + 90_000, 2 * FRAME + 90_000),
        (2, FRAME, FRAME),
        (2, FRAME + 90_000, FRAME + 90_000),
        (2, 2 * FRAME + 90_000, 2 * FRAME),
    ],
)
def test_the_pixels_end_where_their_frames_end(declared: int, stored: int, inflated_pixels: int) -> None:
    """Bytes behind the declared frames are needed only if they may be frames."""
    start = header(frames=declared) + long(0x7FE00010, b"OW", b"", stored)
    assert inflated(start + bytes(stored) + long(0xFFFCFFFC, b"OB", bytes(200))) == len(start) + inflated_pixels


@pytest.mark.parametrize(("spare", "frames"), [(0, 2), (-1, 1)])
@pytest.mark.parametrize("limit", ["inflated_bytes", "file_bytes"])
def test_undeclared_frames_are_inflated_within_the_limits(limit: str, spare: int, frames: int) -> None:
    """Both limits count; beyond them only the declared frame is inflated."""
    start = header() + long(0x7FE00010, b"OW", b"", 2 * FRAME + 900)
    data = start + bytes(2 * FRAME + 900)
    limits = replace(DEFAULT_LIMITS, **{limit: len(data) + spare})
    assert inflated(data, limits) == (len(data) if frames == 2 else len(start) + FRAME)


@pytest.mark.parametrize("limit", ["inflated_bytes", "file_bytes"])
def test_a_data_set_beyond_a_limit_is_too_large(limit: str) -> None:
    """The limit itself is allowed."""
    data = header() + long(0x7FE00010, b"OW", bytes(FRAME)) + long(0xFFFCFFFC, b"OB", bytes(2))
    end = len(data) - 14
    assert inflated(data, replace(DEFAULT_LIMITS, **{limit: end})) == end
    expected = (Reason.TOO_LARGE, "The deflated data set exceeds the size limit.")
    assert failure(deflated(data), replace(DEFAULT_LIMITS, **{limit: end - 1})) == expected


def test_a_small_data_set_is_inflated_whole() -> None:
    """Within the first 64 KiB nothing is left out, with or without pixels."""
    tail = long(0xFFFCFFFC, b"OB", bytes(200))
    assert inflated(header()) == len(header())
    data = header(rows=1) + long(0x7FE00010, b"OW", bytes(600)) + tail
    assert inflated(data) == len(data)


@pytest.mark.parametrize("limit", ["inflated_bytes", "file_bytes"])
def test_a_small_data_set_keeps_a_small_limit(limit: str) -> None:
    """Less than 64 KiB: the pixels end with the data set."""
    data = header(rows=1) + long(0x7FE00010, b"OW", bytes(600))
    assert inflated(data, replace(DEFAULT_LIMITS, **{limit: len(data)})) == len(data)
    expected = (Reason.TOO_LARGE, "The deflated data set exceeds the size limit.")
    assert failure(deflated(data), replace(DEFAULT_LIMITS, **{limit: len(data) - 1})) == expected


@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009, 0x7FE00010])
def test_pixel_data_of_each_kind_end_the_data_set(tag: int) -> None:
    """Integers of 16 bits, floats of 32 and doubles of 64 bits."""
    size = FRAME * {0x7FE00008: 2, 0x7FE00009: 4, 0x7FE00010: 1}[tag]
    data = header() + long(tag, b"OW", bytes(size)) + long(0xFFFCFFFC, b"OB", bytes(100_000))
    assert inflated(data) == len(header()) + 12 + size


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (header() + long(0x7FE00010, b"OB", bytes(90_000), 0xFFFFFFFF), "encapsulated"),
        (header(rows=0) + long(0x7FE00010, b"OW", bytes(90_000)), "no rows"),
        (NESTED * 500 + bytes(90_000), "nested deeper than"),
    ],
)
def test_a_header_with_an_error_is_inflated_no_further(data: bytes, name: str) -> None:
    """The first 64 KiB are enough to report it."""
    assert inflated(data) == 64 * KIB, name


@pytest.mark.parametrize(("private", "inflated_bytes"), [(60 * KIB, 64), (70 * KIB, 512), (600 * KIB, 4096)])
def test_the_steps_grow_eightfold(private: int, inflated_bytes: int) -> None:
    """The error of the header, which has no rows, is noticed in the step that reaches it."""
    data = header(rows=0, private=private) + long(0x7FE00010, b"OW", bytes(5000 * KIB))
    assert inflated(data) == inflated_bytes * KIB


@pytest.mark.parametrize("private", [64 * KIB, 500 * KIB, 600 * KIB, 5000 * KIB])
def test_a_header_may_be_larger_than_the_first_bytes(private: int) -> None:
    """It is inflated in steps."""
    data = header(private=private) + long(0x7FE00010, b"OW", bytes(FRAME))
    assert inflated(data) == len(data)


def test_the_first_bytes_may_end_between_two_elements() -> None:
    """The header goes on behind them."""
    data = long(0x00091010, b"OB", bytes(64 * KIB - 12)) + header() + long(0x7FE00010, b"OW", bytes(FRAME))
    assert inflated(data) == len(data)


@pytest.mark.parametrize(("private", "fits"), [(99 * KIB, True), (101 * KIB, False)])
def test_a_header_may_take_a_sixteenth_of_the_limit(private: int, fits: bool) -> None:
    """Here 100 KiB."""
    data = header(private=private) + long(0x7FE00010, b"OW", bytes(FRAME))
    limits = replace(DEFAULT_LIMITS, inflated_bytes=1600 * KIB)
    if fits:
        assert inflated(data, limits) == len(data)
    else:
        detail = "The header of the deflated data set exceeds the size limit."
        assert failure(deflated(data), limits) == (Reason.TOO_LARGE, detail)


def test_the_bytes_before_the_data_set_are_not_inflated() -> None:
    """They are the file meta information."""
    assert inflate(b"META" + deflated(header()), 4, DEFAULT_LIMITS) == header()


def test_errors_name_the_offset_of_the_data_set() -> None:
    """A stream that is cut, and one that is none."""
    cut = deflated(header())[:-3]
    detail = "The deflated data set at offset 1,234 ends too early."
    assert failure(bytes(1234) + cut, begin=1234) == (Reason.TRUNCATED, detail)
    detail = "The deflated data set at offset 4 cannot be inflated."
    assert failure(b"META" + b"\xff" * 20, begin=4) == (Reason.BAD_HEADER, detail)
