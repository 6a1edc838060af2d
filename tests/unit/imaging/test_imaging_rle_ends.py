"""How the segments of RLE frames end: padding, runs that are too long, and places that were filled (PS3.5 annex G)."""

import struct

import pytest
from test_imaging_high_bits import layout

from imaging.rle import decode_rle
from nightread.errors import RejectImage
from nightread.reasons import Reason

TOO_LONG = (Reason.BAD_PIXELS, "A segment of an RLE frame holds more pixels than the header declares.")
TOO_SHORT = (Reason.TRUNCATED, "An RLE frame holds fewer pixels than the header declares.")
FILLED = (Reason.BAD_PIXELS, "A segment of an RLE frame ends with 0xFF bytes instead of pixel data.")


def outcome(*segments: bytes, rows: int = 1, columns: int = 4, bits: int = 8) -> bytes | tuple[Reason, str]:
    """Return the bytes of the pixels, the most significant one last, or why the frame is rejected."""
    starts = [64 + sum(map(len, segments[:index])) for index in range(len(segments))]
    header = struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(starts)))
    pixels = layout(rows=rows, columns=columns, bits_allocated=bits)
    try:
        return decode_rle(header + b"".join(segments), pixels).tobytes()
    except RejectImage as rejected:
        return rejected.reason, rejected.detail


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (b"", b"abcd"),
        (b"\x01xyz", b"abcd"),
        (b"\x01xyzw", TOO_LONG),
        (b"\x01xyz" + bytes(90), b"abcd"),
        (b"\x01xyzw" + bytes(90), TOO_LONG),
        (bytes(90), b"abcd"),
        (bytes(90) + b"x", TOO_LONG),
    ],
)
def test_up_to_four_bytes_are_padding(left: bytes, expected: bytes | tuple[Reason, str]) -> None:
    """Zeros at the end do not count. More is coded data, for which there is no pixel."""
    assert outcome(b"\x03abcd" + left) == expected
    assert outcome(b"\xfda" + left) == (b"aaaa" if isinstance(expected, bytes) else expected)


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (b"\x80\x03abcd", b"abcd"),
        (b"\x00a\x80\x80\x02bcd", b"abcd"),
        (b"\xffa\x80\xffb", b"aabb"),
        (b"\x00a\xfeb", b"abbb"),
        (b"\xfea\x00b", b"aaab"),
    ],
)
def test_runs_before_padding_that_is_no_run(segment: bytes, expected: bytes) -> None:
    """The quick decoder refuses what follows: the header of a literal of six bytes, of which one is there."""
    assert outcome(segment + b"\x05\x01") == expected


@pytest.mark.parametrize(
    ("segment", "rows", "expected"),
    [
        (b"\xf7a", 2, b"aaaaaaaa"),
        (b"\xf7a\x00\x00", 2, b"aaaaaaaa"),
        (b"\xf7ax", 2, TOO_LONG),
        (b"\xf9a", 2, b"aaaaaaaa"),
        (b"\xfda\xfbb", 2, TOO_LONG),
        (b"\xfda\xfdb", 2, b"aaaabbbb"),
        (b"\xfea\xfab", 2, b"aaabbbbb"),
        (b"\xfda\xffb\xf7c", 3, TOO_LONG),
        (b"\xfca\xffb\xf7c", 3, b"aaaaabbccccc"),
        (b"\x08abcdefghi", 2, b"abcdefgh"),
        (b"\x03abcd\x05efghij", 2, TOO_LONG),
    ],
)
def test_only_a_writer_that_ignores_rows_has_a_run_that_is_too_long(
    segment: bytes, rows: int, expected: bytes | tuple[Reason, str]
) -> None:
    """If a run ends with a row, each row is encoded alone (G.3.1), so that the last run ends with the picture."""
    assert outcome(segment, rows=rows) == expected


@pytest.mark.parametrize(
    ("segment", "columns", "expected"),
    [
        (b"\x02abc", 4, TOO_SHORT),
        (b"\xfda\x00", 5, TOO_SHORT),
        (b"\xfda", 5, TOO_SHORT),
        (b"\x80", 1, TOO_SHORT),
    ],
)
def test_a_missing_pixel_is_not_invented(segment: bytes, columns: int, expected: tuple[Reason, str]) -> None:
    """Neither from the next segment, nor at the end of the frame."""
    assert outcome(segment, columns=columns) == expected
    assert outcome(segment, bytes([columns - 1]) + b"wxyzw"[:columns], columns=columns, bits=16) == expected


PAIR = b"\xff\xff"
"""Two bytes 0xFF as a run of their own."""


@pytest.mark.parametrize(
    ("segment", "pixels", "filled"),
    [
        (b"\x00a" + PAIR * 4, 9, True),
        (b"\x00a" + PAIR * 3, 7, False),
        (b"\x01a\xff" + PAIR * 3, 8, False),
        (b"\x02a\xff\xff" + PAIR * 3, 9, True),
        (b"\x04a\xff\xff\xff\xff" + PAIR * 2, 9, False),
        (b"\x08a" + PAIR * 4, 9, False),
        (PAIR * 4, 8, True),
        (PAIR * 5, 10, True),
        (b"\x80" + PAIR * 4, 8, True),
        (b"\x80\x80" + PAIR * 4, 8, True),
        (b"\xfea" + PAIR * 4, 11, True),
        (b"\xfe\xff" + PAIR * 3 + b"\xff", 9, True),
        (b"\x01\xff\xff" + PAIR * 2 + b"\x01\xff\xff" + PAIR * 2, 12, False),
        (b"\x00a" + PAIR * 4 + b"\x00b", 10, False),
        (b"\x00a" + PAIR * 4 + b"\x00", 9, False),
        (b"\x80\x0a" + b"\xff" * 11, 11, False),
        (b"\xfea\x0a" + b"\xff" * 11, 14, False),
        (b"\x81\xff" + PAIR * 4, 136, True),
        (b"\x7f" + b"a" * 128 + PAIR * 4, 136, True),
        (b"\x04" + b"\xff" * 5 + PAIR * 3, 11, True),
        (b"\x06" + b"\xff" * 7 + PAIR * 2, 11, False),
    ],
)
def test_a_row_of_pairs_at_the_end_was_filled(segment: bytes, pixels: int, filled: bool) -> None:
    """Three or more, of at least eight bytes: a writer makes one longer run of them (G.3.1)."""
    found = outcome(segment, columns=pixels)
    assert (found == FILLED) is filled
    assert filled or isinstance(found, bytes)


def test_each_segment_is_looked_at() -> None:
    """Only the first, or only the last one is filled; what is behind the end of a segment is of the next."""
    whole, filled = b"\x08abcdefghi", b"\x00a" + PAIR * 4
    assert outcome(filled, whole, columns=9, bits=16) == FILLED
    assert outcome(whole, filled, columns=9, bits=16) == FILLED
    half = b"\x02a\xff\xff" + PAIR * 2
    assert outcome(half, PAIR * 2 + b"\x00b", columns=5, bits=16) != FILLED
