"""Fragments that hold several codestreams: where they are split, and where not."""

import struct

import pytest

from imaging import joined_codestreams
from imaging.joined_codestreams import Span, is_rle, split
from nightread.errors import RejectImage
from nightread.reasons import Reason

END = b"\xff\xd9"
BEFORE, BEHIND = b"12345", b"\xff\xd9\xff\xd8\xff\xff\xd9\xff\x4f\xff\x51"
"""Bytes of other fragments: a fragment begins at 5, and what is behind its end does not belong to it."""


def jpeg(body: bytes = b"ab", header: bytes = b"", end: bytes = END) -> bytes:
    """Return a JPEG with one scan; its scan header takes 4 bytes."""
    return b"\xff\xd8" + header + b"\xff\xda\x00\x02" + body + end


def jpeg_2000(body: bytes = b"ab", header: bytes = b"") -> bytes:
    """Return a JPEG 2000 codestream with one tile-part."""
    return b"\xff\x4f\xff\x51" + header + b"\xff\x90" + body + END


def jp2(body: bytes = b"ab") -> bytes:
    """Return a JP2 file."""
    return b"\x00\x00\x00\x0cjP  \r\n\x87\n" + jpeg_2000(body)


def rle(*offsets: int, body: bytes, segments: int | None = None) -> bytes:
    """Return an RLE frame: the number of segments, 15 offsets, and the segments (PS3.5 section G.5)."""
    count = len(offsets) if segments is None else segments
    return struct.pack("<16I", count, *offsets, *[0] * (15 - len(offsets))) + body


ONE_SEGMENT, TWO_SEGMENTS = rle(64, body=b"abcd"), rle(64, 66, body=b"abcd")


def spans(*fragment: bytes) -> tuple[list[Span], bool]:
    """Return the spans of a fragment that consists of these parts, relative to its start, and whether it is unsplit."""
    whole = b"".join(fragment)
    found = split(BEFORE + whole + BEHIND, (5, 5 + len(whole)))
    return [(start - 5, end - 5) for start, end in found.spans], found.unsplit


@pytest.mark.parametrize("each", [jpeg(), jpeg_2000(), jp2()], ids=["JPEG", "JPEG 2000", "JP2"])
@pytest.mark.parametrize("padding", [b"", b"\x00", b"\xff\x00", bytes(64)], ids=len)
def test_a_codestream_ends_before_the_next_one(each: bytes, padding: bytes) -> None:
    """Padding of up to 64 bytes belongs to the codestream before it."""
    size, step = len(each), len(each) + len(padding)

    assert spans(each) == ([(0, size)], False)
    assert spans(each, padding, each) == ([(0, step), (step, step + size)], False)
    assert spans(each, padding, each, padding, each) == (
        [(0, step), (step, 2 * step), (2 * step, 2 * step + size)],
        False,
    )


@pytest.mark.parametrize("each", [jpeg(), jpeg_2000(), jp2()], ids=["JPEG", "JPEG 2000", "JP2"])
@pytest.mark.parametrize("between", [bytes(65), b"x", bytes(10) + b"x"], ids=["65 zeros", "text", "zeros and text"])
def test_other_bytes_between_codestreams_leave_them_unsplit(each: bytes, between: bytes) -> None:
    """It is said that another one begins, and the caller decides."""
    assert spans(each, between, each) == ([(0, 2 * len(each) + len(between))], True)


def test_a_codestream_without_end_is_not_split() -> None:
    """A decoder stops at the end marker, so that two without one between them are one."""
    assert spans(jpeg(end=b""), jpeg()) == ([(0, 18)], True)
    assert spans(jpeg(), jpeg(end=b""), jpeg()) == ([(0, 10), (10, 28)], True)


PREVIEW = END + b"\xff\xd8\xff\xda" + END
"""What the preview of an image may hold, which looks as if one codestream ends and another one begins."""
PREVIEW_2000 = END + b"\xff\x4f\xff\x51" + END


def test_a_preview_in_the_header_is_no_codestream() -> None:
    """Thumbnails of JPEG are in application segments, before the first scan."""
    with_preview = jpeg(header=b"\xff\xe1" + struct.pack(">H", 2 + len(PREVIEW)) + PREVIEW)
    size = len(with_preview)

    assert spans(with_preview) == ([(0, size)], False)
    assert spans(with_preview, with_preview) == ([(0, size), (size, 2 * size)], False)
    assert spans(jpeg(), with_preview) == ([(0, 10), (10, 10 + size)], False)


def test_a_comment_before_the_first_tile_is_no_codestream() -> None:
    """The comment of a JPEG 2000 header may hold any bytes."""
    with_comment = jpeg_2000(header=b"\xff\x64" + struct.pack(">H", 2 + len(PREVIEW_2000)) + PREVIEW_2000)
    size = len(with_comment)

    assert spans(with_comment) == ([(0, size)], False)
    assert spans(with_comment, with_comment) == ([(0, size), (size, 2 * size)], False)


def test_a_codestream_without_tile_or_scan_has_only_a_header() -> None:
    """Whatever is in it is not split."""
    assert spans(b"\xff\x4f\xff\x51", PREVIEW_2000) == ([(0, 12)], False)
    assert spans(b"\xff\xd8\xff\xe1\x00\x40", PREVIEW) == ([(0, 14)], False)


def test_a_fragment_that_begins_with_none_is_one_span() -> None:
    """It may be the second fragment of a frame."""
    assert spans(b"ab", jpeg(), jpeg()) == ([(0, 22)], False)
    assert spans(b"ab\xff\x90", jpeg(), jpeg()) == ([(0, 24)], False)


def test_the_start_of_another_kind_of_codestream_is_data() -> None:
    """All frames of an object have one transfer syntax."""
    assert spans(jpeg(), jpeg_2000()) == ([(0, 20)], False)
    assert spans(jpeg_2000(), jpeg()) == ([(0, 20)], False)


def test_rle_frames_begin_with_their_header() -> None:
    """The next frame has the same number of segments."""
    assert spans(ONE_SEGMENT) == ([(0, 68)], False)
    assert spans(ONE_SEGMENT, ONE_SEGMENT, ONE_SEGMENT) == ([(0, 68), (68, 136), (136, 204)], False)
    assert spans(TWO_SEGMENTS, TWO_SEGMENTS) == ([(0, 68), (68, 136)], False)
    assert spans(TWO_SEGMENTS, rle(64, 67, body=b"abcd")) == ([(0, 68), (68, 136)], False)


def test_a_header_with_another_number_of_segments_is_data() -> None:
    """All frames of an object have the same number of samples and bytes."""
    assert spans(ONE_SEGMENT, TWO_SEGMENTS) == ([(0, 136)], False)


def test_a_mark_without_a_whole_header_is_data() -> None:
    """The offsets behind it do not rise, or the fragment ends before."""
    not_rising = rle(64, 63, body=b"abcd", segments=1)
    assert spans(ONE_SEGMENT, not_rising) == ([(0, 136)], False)
    assert spans(ONE_SEGMENT, ONE_SEGMENT[:63]) == ([(0, 131)], False)


@pytest.mark.parametrize("each", [jpeg(), ONE_SEGMENT], ids=["JPEG", "RLE"])
def test_the_number_of_codestreams_has_a_limit(monkeypatch: pytest.MonkeyPatch, each: bytes) -> None:
    """The limit itself is allowed."""
    monkeypatch.setattr(joined_codestreams, "MAX_CODESTREAMS", 3)

    assert len(spans(each * 3)[0]) == 3
    with pytest.raises(RejectImage) as refusal:
        spans(each * 4)
    assert refusal.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (rle(64, body=b"a"), True),
        (rle(64, body=b""), False),
        (rle(64, 65, body=b"ab"), True),
        (rle(64, 66, body=b"ab"), False),
        (rle(64, 64, body=b"ab"), False),
        (rle(64, 66, 65, body=b"abcd"), False),
        (rle(*range(64, 79), body=bytes(15)), True),
        (rle(64, body=b"a", segments=0), False),
        (rle(64, body=b"a", segments=15), True),
        (rle(64, body=b"a", segments=16), False),
        (rle(63, body=b"a"), False),
        (rle(65, body=b"ab"), False),
        (rle(64, 0, 66, body=b"abcd"), True),
        (b"", False),
        (rle(64, body=b"a")[:63], False),
    ],
)
def test_the_header_of_an_rle_frame(frame: bytes, expected: bool) -> None:
    """1 to 15 segments; the first one begins at 64, and each is behind the one before and within the frame."""
    assert is_rle(BEFORE + frame + BEHIND, 5, 5 + len(frame)) is expected


def test_a_fragment_at_the_end_of_the_file_may_be_shorter_than_a_header() -> None:
    """Nothing is read behind the file."""
    assert is_rle(BEFORE + ONE_SEGMENT[:60], 5, 65) is False
