"""Deflated data sets whose stream does not end, or is damaged, in blocks made by hand (RFC 1951, section 3.2.4)."""

import struct

import pytest
from test_imaging_inflated import FRAME, header, long

from imaging import deflate
from imaging.deflate import inflate
from imaging.limits import DEFAULT_LIMITS
from nightread.errors import RejectImage
from nightread.reasons import Reason

START = header() + long(0x7FE00010, b"OW", b"", FRAME)
NOISE = bytes(index * 167 % 251 + 1 for index in range(FRAME))
"""No byte is 0 or 0xFF, which may be filled in."""
BEHIND = b"\xfc\xff\xfc\xffOB\x01\x01"
"""Eight bytes of an element that may follow the pixels: trailing padding (PS3.10 section 7.2)."""
TRUNCATED = (Reason.TRUNCATED, "The deflated data set at offset 4 ends too early.")
FOREIGN = b"\xff" * 20
"""No block begins with three ones."""


def blocks(data: bytes, *, missing: int = 0) -> bytes:
    """Return stored blocks without the last one of a stream, so that a byte of the data is one of the stream."""
    pieces = []
    for at in range(0, len(data), 50_000):
        piece = data[at : at + 50_000]
        size = len(piece) + (missing if at + 50_000 >= len(data) else 0)
        pieces.append(struct.pack("<BHH", 0, size, 0xFFFF - size) + piece)
    return b"".join(pieces)


def outcome(stream: bytes) -> int | tuple[Reason, str]:
    """Return the number of inflated bytes, or why the data set is rejected."""
    try:
        return len(inflate(b"META" + stream, 4, DEFAULT_LIMITS))
    except RejectImage as rejected:
        return rejected.reason, rejected.detail


WHOLE = len(START) + FRAME


@pytest.mark.parametrize(("behind", "certain"), [(BEHIND, True), (BEHIND + b"a", True), (BEHIND[:-1], False)])
def test_a_stream_without_end_needs_eight_bytes_behind_the_pixels(behind: bytes, certain: bool) -> None:
    """They may be an end that was put there, with which the pixels before make sense or not."""
    assert outcome(blocks(START + NOISE + behind, missing=900)) == (WHOLE if certain else TRUNCATED)


@pytest.mark.parametrize("size", [0, 4])
def test_a_stream_that_ends_with_its_pixels_is_truncated(size: int) -> None:
    """Some of the last bytes may be filled in."""
    assert outcome(blocks(START + NOISE + BEHIND[:size], missing=900)) == TRUNCATED


@pytest.mark.parametrize("lost", [1, 1000, 30_000])
def test_a_stream_with_fewer_pixels_is_truncated(lost: int) -> None:
    """Whatever they are."""
    for pixels in (NOISE, bytes(FRAME)):
        assert outcome(blocks((START + pixels)[:-lost], missing=lost)) == TRUNCATED


@pytest.mark.parametrize("last", [b"\x00", b"\xff"])
def test_filled_bytes_are_not_taken_for_pixels(last: bytes) -> None:
    """A pixel that is like the fill may be one of it; behind other pixels, any number of zeros is padding."""
    assert outcome(blocks(START + NOISE[:-1] + last * 91, missing=900)) == TRUNCATED
    assert outcome(blocks(START + NOISE + last * 90, missing=900)) == WHOLE
    assert outcome(blocks(START + NOISE[:-1] + last + BEHIND + last * 90, missing=900)) == WHOLE


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (b"\x07" * FRAME, WHOLE),
        (bytes(FRAME), WHOLE),
        (b"\x08" + b"\x07" * (FRAME - 1), TRUNCATED),
        (b"\x07" * (FRAME - 1) + b"\x08", TRUNCATED),
    ],
)
def test_a_blank_image_needs_nothing_behind_it(pixels: bytes, expected: int | tuple[Reason, str]) -> None:
    """All its pixels are alike, so that nothing can have been put in their place."""
    assert outcome(blocks(START + pixels, missing=900)) == expected


@pytest.mark.parametrize(
    ("tag", "certain"),
    [
        (b"\xe0\x7f\x10\x00", False),
        (b"\xe0\x7f\x08\x00", False),
        (b"\x28\x00\x10\x00", False),
        (b"\x00\x00\x01\x00", False),
        (b"\xe0\x7f\x11\x00", True),
        (b"\xe0\x7f\x00\x01", True),
        (b"\xe1\x7f\x00\x00", True),
        (b"\xfc\xff\xfc\xff", True),
        (b"\x00\x00\x00\x00", True),
    ],
)
def test_behind_the_pixels_only_a_larger_tag_may_follow(tag: bytes, certain: bool) -> None:
    """Tags ascend (PS3.5 section 7.1). Other bytes may be pixels of a frame that the header does not count."""
    assert outcome(blocks(START + NOISE + tag + b"OB\x01\x01ab", missing=900)) == (WHOLE if certain else TRUNCATED)


@pytest.mark.parametrize(("size", "certain"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_tag_that_is_cut_is_small(size: int, certain: bool) -> None:
    """The bytes of its group and of its element that are there count, behind a blank image that needs nothing else."""
    behind = b"\xe0\x7f\x11\x00"[:size]
    assert outcome(blocks(START + bytes(FRAME) + behind, missing=900)) == (WHOLE if certain else TRUNCATED)


@pytest.mark.parametrize(("sound", "expected"), [(1, WHOLE), (0, (Reason.BAD_PIXELS, ""))])
@pytest.mark.parametrize("rest", [1000, 64 * 1024, 64 * 1024 + 1, 1024 * 1024])
def test_the_rest_of_a_stream_is_checked_as_far_as_the_limit(
    monkeypatch: pytest.MonkeyPatch, rest: int, sound: int, expected: int | tuple[Reason, str]
) -> None:
    """Behind the pixels 1 MiB is inflated in pieces of 64 KiB; what follows it may be damaged."""
    if rest < 1024 * 1024:
        monkeypatch.setattr(deflate, "_MOST_REST", rest)
    found = outcome(blocks(START + NOISE + BEHIND + bytes(rest + sound - len(BEHIND))) + FOREIGN)
    assert (found if isinstance(found, int) else (found[0], "")) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.BAD_HEADER),
        (header(), Reason.BAD_HEADER),
        (START[:-1], Reason.BAD_HEADER),
        (START, Reason.BAD_PIXELS),
        (START + NOISE[:1000], Reason.BAD_PIXELS),
        (START + NOISE[:100_000], Reason.BAD_PIXELS),
        (START + NOISE, Reason.BAD_PIXELS),
        (header() + long(0x7FE00008, b"OF", b"", 4 * FRAME), Reason.BAD_PIXELS),
        (header(private=100_000) + long(0x7FE00010, b"OW", b"", FRAME), Reason.BAD_PIXELS),
        (header(private=200_000) + long(0x7FE00010, b"OW", b"", FRAME), Reason.BAD_HEADER),
    ],
)
def test_where_a_stream_is_damaged(data: bytes, reason: Reason) -> None:
    """The next 64 KiB before the damage count: with the header of the pixel data, only the pixels are lost."""
    assert outcome(blocks(data) + FOREIGN) == (reason, "The deflated data set at offset 4 cannot be inflated.")


def small(behind: bytes, pixels: bytes) -> bytes:
    """Return stored blocks of 64 KiB that end with a picture of 100 rows, and with what is behind it."""
    end = long(0x7FE00010, b"OW", pixels) + behind
    size = 64 * 1024 - len(header(rows=100)) - len(end) - 12
    data = header(rows=100, private=size) + end
    assert len(data) == 64 * 1024
    return blocks(data, missing=900)


@pytest.mark.parametrize(
    ("behind", "pixels", "certain"),
    [
        (b"\xfc\xff\xfc\xffabcd", NOISE[:60_000], True),
        (b"\x28\x00\x10\x00abcd", NOISE[:60_000], False),
        (b"\xfc\xff\xfc\xff", NOISE[:60_000], False),
        (b"\xfc\xff\xfc\xff", b"\x07" * 60_000, True),
    ],
)
def test_what_was_inflated_with_the_header_may_follow_the_pixels(behind: bytes, pixels: bytes, certain: bool) -> None:
    """The first 64 KiB hold the pixels and all that follows."""
    assert outcome(small(behind, pixels)) == (64 * 1024 if certain else TRUNCATED)
