"""Runs and segments of RLE frames that only the lenient decoder accepts (PS3.5 G.3 and G.5)."""

import struct
from collections.abc import Sequence

import pytest
from test_imaging_high_bits import layout

from imaging.rle import decode_rle, is_rle
from nightread.errors import RejectImage
from nightread.reasons import Reason

WRONG_COUNT = 3
"""A number of segments that makes the quick decoder refuse a frame of one or two."""
NEEDS_ONE = "An RLE frame does not have the 1 segments that the header requires."


def frame(*segments: bytes, offsets: Sequence[int] | None = None) -> bytes:
    """Return an RLE frame with a wrong number of segments; `offsets` replaces the true ones."""
    starts = [64 + sum(map(len, segments[:index])) for index in range(len(segments))] if offsets is None else offsets
    return struct.pack("<16I", WRONG_COUNT, *starts, *[0] * (15 - len(starts))) + b"".join(segments)


def decoded(encoded: bytes, columns: int, *, bits: int = 8) -> list[int]:
    """Return the only row of a grey picture."""
    values: list[int] = decode_rle(encoded, layout(columns=columns, bits_allocated=bits)).reshape(-1).tolist()
    return values


def refused(encoded: bytes, columns: int = 4, *, bits: int = 8) -> tuple[Reason, str]:
    """Return reason and detail for which a frame is rejected."""
    with pytest.raises(RejectImage) as refusal:
        decoded(encoded, columns, bits=bits)
    return refusal.value.reason, refusal.value.detail


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (b"\x03abcd", b"abcd"),
        (b"\x00a\x00b\x01cd", b"abcd"),
        (b"\xfda", b"aaaa"),
        (b"\xffa\xffb", b"aabb"),
        (b"\x80\x00a\x80\x80\xffb\x00c", b"abbc"),
        (b"\xf0a", b"aaaa"),
        (b"\x7fabcdefgh", b"abcd"),
        (b"\x81a", b"aaaa"),
    ],
    ids=[
        "literal", "three literals", "a run of 4", "two runs of 2", "no operations between", "a run that is too long",
        "a literal that is too long", "the longest run",
    ],
)  # fmt: skip
def test_runs_and_literals_follow_each_other(segment: bytes, expected: bytes) -> None:
    """A header n up to 127 copies n + 1 bytes, one from 129 on repeats a byte 257 - n times, and 128 does nothing."""
    assert bytes(decoded(frame(segment), 4)) == expected


def test_the_longest_run_and_the_longest_literal_have_128_bytes() -> None:
    """Headers 129 and 127."""
    both = bytes([129, 7, 127, *range(128)])
    assert decoded(frame(both), 256) == [7] * 128 + list(range(128))
    assert refused(frame(both), 257)[0] is Reason.TRUNCATED


@pytest.mark.parametrize("segment", [b"", b"\x02abc", b"\xfea", b"\x03abc", b"\x03", b"\xfd"])
def test_a_segment_of_three_bytes_is_too_short_for_four_pixels(segment: bytes) -> None:
    """Nothing is taken from behind the end of the segment: there the next one begins."""
    expected = (Reason.TRUNCATED, "An RLE frame holds fewer pixels than the header declares.")
    if segment:
        assert refused(frame(segment)) == expected
        assert refused(frame(segment, b"\x03abcd"), bits=16) == expected
    assert refused(frame(b"\x80", b"\x03abcd"), bits=16) == expected


def test_the_first_segment_has_the_high_bytes() -> None:
    """Four words of 16 bits."""
    assert decoded(frame(b"\x03\1\2\3\4", b"\x03\5\6\7\x08"), 4, bits=16) == [0x105, 0x206, 0x307, 0x408]


@pytest.mark.parametrize(
    "encoded",
    [
        frame(b"\x03abcd", offsets=[63]),
        frame(b"\x03abcd", offsets=[69]),
        frame(b"\x03abcd", b"\x03abcd"),
        frame(b"\x03abcd", offsets=[]),
    ],
    ids=["in the header", "at the end", "two", "none"],
)
def test_one_segment_must_lie_behind_the_header(encoded: bytes) -> None:
    """The frame has 69 bytes: 64 of the header, and five."""
    assert refused(encoded) == (Reason.BAD_PIXELS, NEEDS_ONE)
    assert decoded(frame(b"\x03abcd", offsets=[64]), 4) == list(b"abcd")


@pytest.mark.parametrize("offsets", [[69, 64], [64, 64]])
def test_segments_must_ascend(offsets: list[int]) -> None:
    """The second one begins behind the first."""
    two = frame(b"\x03abcd", b"\x03abcd", offsets=offsets)
    assert refused(two, bits=16) == (Reason.BAD_PIXELS, NEEDS_ONE.replace("1", "2"))


def test_a_header_has_64_bytes() -> None:
    """One byte less is a cut header; a whole one has no segment behind it."""
    whole = frame(b"", offsets=[64])
    assert refused(whole[:-1]) == (Reason.TRUNCATED, "An RLE frame ends within its header.")
    assert refused(whole) == (Reason.BAD_PIXELS, NEEDS_ONE)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (struct.pack("<2I", 1, 64) + bytes(57), True),
        (struct.pack("<2I", 15, 64) + bytes(57), True),
        (struct.pack("<2I", 1, 64) + bytes(56), False),
        (struct.pack("<2I", 0, 64) + bytes(57), False),
        (struct.pack("<2I", 16, 64) + bytes(57), False),
        (struct.pack("<2I", 257, 64) + bytes(57), False),
        (struct.pack("<2I", 1, 65) + bytes(57), False),
        (struct.pack("<2I", 1, 320) + bytes(57), False),
    ],
)
def test_an_rle_frame_begins_with_its_header(encoded: bytes, expected: bool) -> None:
    """1 to 15 segments, the first behind the 64 bytes of the header, and at least one byte there."""
    assert is_rle(encoded) is expected
