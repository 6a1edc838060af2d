"""Assignment of fragments to frames."""

import struct

import pytest

from imaging.encapsulation import frame_fragments, join
from nightread.errors import RejectImage
from nightread.reasons import Reason

END = b"\xff\xd9"


def encapsulated(fragments: list[bytes], table: bytes = b"", *, closed: bool = True) -> bytes:
    """Return the bytes of pixel data after the element's length, with a basic offset table."""
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in [table, *fragments])
    return items + (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if closed else b"")


def frames_of(data: bytes, frames: int, extended: bytes = b"") -> list[bytes]:
    """Return the joined bytes of each frame."""
    return [join(data, spans) for spans in frame_fragments(data, 0, frames, extended).frames]


def test_one_fragment_each_without_a_table() -> None:
    """The number of fragments equals the number of frames."""
    assert frames_of(encapsulated([b"aa", b"bb"]), 2) == [b"aa", b"bb"]


def test_all_fragments_belong_to_a_single_frame() -> None:
    """The number of fragments does not matter."""
    assert frames_of(encapsulated([b"aa", b"bb", b"cc"]), 1) == [b"aabbcc"]


def test_the_basic_offset_table_decides() -> None:
    """Offsets are relative to the first byte after the table."""
    table = struct.pack("<2I", 0, 20)
    assert frames_of(encapsulated([b"aa", b"bb", b"cc"], table), 2) == [b"aabb", b"cc"]


def test_the_extended_offset_table_takes_precedence() -> None:
    """It is an element of its own with 64-bit offsets (PS3.3 C.7.6.3.1.8)."""
    extended = struct.pack("<2Q", 0, 10)
    assert frames_of(encapsulated([b"aa", b"bb"]), 2, extended) == [b"aa", b"bb"]


@pytest.mark.parametrize("offsets", [(0, 7), (0, 0), (10, 0), (0, 4_000_000_000)])
def test_an_invalid_offset_table_is_ignored(offsets: tuple[int, int]) -> None:
    """The frames then follow from the end-of-image markers in the fragments."""
    table = struct.pack("<2I", *offsets)
    fragments = [b"aa", b"bb" + END, b"cc", b"dd" + END]

    assert frames_of(encapsulated(fragments, table), 2) == [b"aabb" + END, b"ccdd" + END]


@pytest.mark.parametrize(
    ("data", "frames", "reason"),
    [
        (encapsulated([b"aa"]), 2, Reason.TRUNCATED),
        (encapsulated([]), 1, Reason.TRUNCATED),
        (encapsulated([b"aa"], closed=False), 1, Reason.TRUNCATED),
        (encapsulated([b"aaaa"], closed=False)[:-2], 1, Reason.TRUNCATED),
        (encapsulated([b"aa"], closed=False) + b"rubbish!", 1, Reason.BAD_PIXELS),
        (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), 1, Reason.BAD_PIXELS),
    ],
)
def test_missing_and_foreign_items_are_rejected(data: bytes, frames: int, reason: Reason) -> None:
    """Too few fragments or a missing end mean truncated; any other element means bad pixels."""
    with pytest.raises(RejectImage) as refusal:
        frames_of(data, frames)

    assert refusal.value.reason is reason


JPEG, JPEG_2000 = b"\xff\xd8\xff\xe0", b"\xff\x4f\xff\x51"
RLE = struct.pack("<16I", 1, 64, *[0] * 14)
"""Header of one segment at byte 64 (PS3.5 section G.5)."""
TWO_SEGMENTS = struct.pack("<16I", 2, 64, 66, *[0] * 13)


def found(fragments: list[bytes], declared: int, table: bytes = b"") -> tuple[list[bytes], int]:
    """Return the joined bytes of each frame, and the number of frames that were left out."""
    data = encapsulated(fragments, table)
    frames, left_out, fault = frame_fragments(data, 0, declared)
    assert fault == ""
    return [join(data, spans) for spans in frames], left_out


@pytest.mark.parametrize("declared", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "fragments",
    [
        [JPEG + b"a" + END, JPEG + b"b" + END, JPEG + b"c" + END],
        [JPEG_2000 + b"a" + END, JPEG_2000 + b"b" + END, JPEG_2000 + b"c" + END],
        [b"\x00\x00\x00\x0cjP  \r\n\x87\na" + END, JPEG_2000 + END, JPEG_2000 + END + b"\x00"],
        [RLE + b"aa", RLE + b"bb", TWO_SEGMENTS + b"cccc"],
        [JPEG + b"no end", JPEG + b"no end", JPEG + b"no end"],
    ],
    ids=["JPEG", "JPEG 2000", "JP2 files", "RLE", "no end markers"],
)
def test_a_fragment_that_begins_a_codestream_is_a_frame(fragments: list[bytes], declared: int) -> None:
    """There are three, whatever NumberOfFrames says."""
    assert found(fragments, declared) == (fragments, 0)


@pytest.mark.parametrize("declared", [1, 2, 3, 5])
def test_frames_of_several_fragments_begin_with_a_codestream_and_end_with_its_end(declared: int) -> None:
    """Two frames in five fragments, without an offset table."""
    fragments = [JPEG + b"a", b"b" + END, JPEG + b"c", b"d", b"e" + END + b"\x00"]
    assert found(fragments, declared) == ([b"".join(fragments[:2]), b"".join(fragments[2:])], 0)


def test_bytes_behind_the_end_of_a_codestream_belong_to_its_fragment() -> None:
    """Padding of any length hides no end marker."""
    fragments = [JPEG + b"a", b"b" + END + bytes(500), JPEG + b"c" + END + bytes(500)]
    assert found(fragments, 1) == ([fragments[0] + fragments[1], fragments[2]], 0)


def test_an_offset_table_counts_the_frames_of_unknown_codestreams() -> None:
    """The table is valid and has two offsets, so that there are two frames."""
    table = struct.pack("<2I", 0, 20)
    assert found([b"aa", b"bb", b"cc"], 1, table) == ([b"aabb", b"cc"], 0)
    assert frames_of(encapsulated([b"aa", b"bb"]), 1, struct.pack("<2Q", 0, 10)) == [b"aa", b"bb"]


def test_an_offset_table_with_too_few_offsets_hides_no_frame() -> None:
    """The second and the third fragment begin codestreams."""
    fragments = [JPEG + b"a" + END, JPEG + b"b" + END, JPEG + b"c" + END]
    assert found(fragments, 1, struct.pack("<I", 0)) == (fragments, 0)


def test_frames_that_are_not_certain_are_left_out_and_counted() -> None:
    """Of three codestreams in four fragments none has an end, so that the third fragment may belong to any of two."""
    fragments = [JPEG + b"a", JPEG + b"b", b"c", JPEG + b"d"]
    assert found(fragments, 1) == ([JPEG + b"a"], 2)
    assert found(fragments, 2) == ([JPEG + b"a", JPEG + b"bc"], 1)
    assert found(fragments, 3) == ([JPEG + b"a", JPEG + b"bc", JPEG + b"d"], 0)


@pytest.mark.parametrize("frame", [JPEG + b"a" + END, RLE + b"aa"])
def test_an_empty_fragment_is_no_frame(frame: bytes) -> None:
    """Some writers add one behind the last frame."""
    assert found([frame, frame, b""], 1) == ([frame, frame], 0)
    assert found([frame, b""], 1) == ([frame], 0)


def test_an_rle_frame_in_two_fragments_stays_one_frame() -> None:
    """PS3.5 forbids it, but the second fragment has no header."""
    assert found([RLE + b"aa", b"bb"], 1) == ([RLE + b"aabb"], 0)


@pytest.mark.parametrize("tail", [b"", b"\x00", bytes(8), bytes(600), b"\xfc\xff\xfc\xffOB\x00\x00\x00\x00\x00\x00"])
@pytest.mark.parametrize("frame", [JPEG + b"a" + END, JPEG_2000 + b"a" + END + b"\x00", RLE + b"aa"])
def test_whole_frames_need_no_sequence_delimiter(frame: bytes, tail: bytes) -> None:
    """What stands in its place is named with its offset."""
    data = encapsulated([frame, frame], closed=False) + tail
    frames, left_out, fault = frame_fragments(data, 0, 2)
    assert ([join(data, spans) for spans in frames], left_out) == ([frame, frame], 0)
    at = f"{24 + 2 * len(frame)}"
    expected = {
        b"": "The file ends without the sequence delimiter of its pixel data.",
        b"\x00": "The file ends without the sequence delimiter of its pixel data.",
        b"\xfc\xff\xfc\xff": f"The compressed pixel data hold an element that is not a fragment at offset {at}.",
    }.get(tail[:4], f"The compressed pixel data hold zeros at offset {at}.")
    assert fault == expected


def test_an_item_delimiter_may_stand_for_the_sequence_delimiter() -> None:
    """The frames are complete, and nothing else follows."""
    item_end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    data = encapsulated([JPEG + END], closed=False) + item_end
    assert len(frame_fragments(data, 0, 1).frames) == 1
    between = encapsulated([JPEG + END], closed=False) + item_end + encapsulated([JPEG + END])[8:]
    assert len(frame_fragments(between, 0, 1).frames) == 2


def test_a_fragment_of_odd_length_may_be_padded() -> None:
    """Its length does not count the padding."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 7) + JPEG + b"a" + END
    data = encapsulated([], closed=False) + item + b"\x00" + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    frames = frame_fragments(data, 0, 2).frames
    assert [join(data, spans) for spans in frames] == [JPEG + b"a" + END] * 2


def test_the_last_fragment_may_be_longer_than_the_file_if_its_end_is_there() -> None:
    """One byte of padding is missing."""
    data = encapsulated([JPEG + b"a" + END + b"\x00"], closed=False)[:-1]
    frames, _, fault = frame_fragments(data, 0, 1)
    assert (join(data, frames[0]), fault) == (
        JPEG + b"a" + END,
        "The file ends within the fragment at offset 16.",
    )


@pytest.mark.parametrize(
    ("data", "declared", "detail"),
    [
        (
            encapsulated([JPEG + b"a" + END, JPEG + b"b"], closed=False),
            2,
            "The file ends without the sequence delimiter of its pixel data, in or after frame 2.",
        ),
        (
            encapsulated([JPEG + b"a" + END], closed=False),
            2,
            "The file ends without the sequence delimiter of its pixel data, in or after frame 1.",
        ),
        (
            encapsulated([JPEG + b"a" + END, RLE + b"bb"], closed=False)[:-1],
            2,
            "The file ends within the fragment at offset 31, in or after frame 2.",
        ),
        (encapsulated([b"aa", b"bb"]), 3, "The pixel data at offset 0 end before frame 3."),
        (encapsulated([]), 1, "The pixel data at offset 0 end before frame 1."),
        (
            encapsulated([JPEG + b"a"], closed=False) + bytes(16),
            1,
            "The compressed pixel data hold zeros at offset 21, in or after frame 1.",
        ),
    ],
)
def test_a_missing_frame_is_named_by_number_and_offset(data: bytes, declared: int, detail: str) -> None:
    """All of these files are truncated."""
    with pytest.raises(RejectImage) as refusal:
        frame_fragments(data, 0, declared)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.TRUNCATED, detail)
