"""Which fragments make a frame: offset tables, ends of codestreams, and what is wrong behind the last frame."""

import struct

import pytest
from test_imaging_encapsulation import END, JPEG, RLE, encapsulated

from imaging.encapsulation import frame_fragments, join
from nightread.errors import RejectImage
from nightread.reasons import Reason

BEFORE = b"before"
"""Bytes before the pixel data, so that positions in the file are not those in the pixel data."""
AA, BB, CC = b"aa", b"bb", b"cc"
"""Fragments of an unknown codestream; each takes ten bytes with its header."""


def found(
    fragments: list[bytes],
    declared: int,
    table: bytes = b"",
    extended: bytes = b"",
    *,
    closed: bool = True,
) -> tuple[list[bytes], int, str]:
    """Return the joined bytes of each frame, the number of frames that were left out, and the fault."""
    data = BEFORE + encapsulated(fragments, table, closed=closed)
    frames, left_out, fault = frame_fragments(data, len(BEFORE), declared, extended)
    return [join(data, spans) for spans in frames], left_out, fault


def refused(data: bytes, declared: int) -> tuple[Reason, str]:
    """Return reason and detail."""
    with pytest.raises(RejectImage) as refusal:
        frame_fragments(BEFORE + data, len(BEFORE), declared)
    return refusal.value.reason, refusal.value.detail


def basic(*offsets: int) -> bytes:
    """Return a basic offset table."""
    return struct.pack(f"<{len(offsets)}I", *offsets)


def extended(*offsets: int) -> bytes:
    """Return an extended offset table."""
    return struct.pack(f"<{len(offsets)}Q", *offsets)


@pytest.mark.parametrize(
    ("offsets", "frames"),
    [
        ((0, 10), [b"aa", b"bbcc"]),
        ((0, 20), [b"aabb", b"cc"]),
        ((0, 10, 20), [b"aa", b"bb", b"cc"]),
    ],
)
def test_offsets_count_from_the_first_fragment(offsets: tuple[int, ...], frames: list[bytes]) -> None:
    """In both tables, and for more frames than the header declares."""
    for declared in (2, len(frames)):
        assert found([AA, BB, CC], declared, basic(*offsets)) == (frames, 0, "")
        assert found([AA, BB, CC], declared, b"", extended(*offsets)) == (frames, 0, "")


@pytest.mark.parametrize(
    "table",
    [
        basic(0, 20) + b"\x00", basic(0, 10, 20, 30), basic(10, 20), basic(20, 0), basic(0, 0), basic(0, 11),
        basic(0), basic(0, 20)[:-1],
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_the_fragments_is_not_used(table: bytes) -> None:
    """The three fragments have no end markers, so that they are one frame, and the second is missing."""
    detail = "The pixel data at offset 6 end before frame 2."
    assert refused(encapsulated([AA, BB, CC], table), 2) == (Reason.TRUNCATED, detail)


def test_the_first_table_with_the_declared_number_is_used() -> None:
    """The extended one comes first; a table with fewer offsets is left out."""
    assert found([AA, BB, CC], 2, basic(0, 20), extended(0, 10))[0] == [b"aa", b"bbcc"]
    assert found([AA, BB, CC], 2, basic(0, 20), extended(0))[0] == [b"aabb", b"cc"]
    assert found([AA, BB, CC], 2, basic(0, 20), extended(0, 10, 20))[0] == [b"aabb", b"cc"]
    assert found([AA, BB, CC], 1, basic(0, 20), extended(0, 10, 20))[0] == [b"aabbcc"[i : i + 2] for i in (0, 2, 4)]


def test_a_table_of_known_codestreams_may_join_fragments_but_not_frames() -> None:
    """Two codestreams are two frames; three offsets split the second one."""
    fragments = [JPEG + b"a", JPEG + b"b", b"c" + END]
    assert found(fragments, 3, basic(0, 13, 26))[0] == fragments
    assert found(fragments, 1, basic(0))[:2] == ([JPEG + b"a"], 1)
    uncertain = [JPEG + b"a", b"b", JPEG + b"c" + END]
    assert found(uncertain, 1, basic(0, 13, 22))[:2] == ([JPEG + b"ab"], 1)
    assert found(fragments, 2, basic(0, 13))[0] == [JPEG + b"a", JPEG + b"bc" + END]


@pytest.mark.parametrize(
    "fragments",
    [
        [JPEG + b"a" + END, b"b" + END, JPEG + b"c" + END],
        [JPEG + b"a", b"b", JPEG + b"c" + END],
        [JPEG + b"a" + END, JPEG + b"b", b"c"],
        [RLE + b"aa", b"bb", RLE + b"cc"],
        [RLE + b"aa", b"bb" + END, RLE + b"cc" + END],
        [RLE + b"aa", b"bb" + END, JPEG + b"cc" + END],
    ],
)
def test_codestreams_that_do_not_end_with_their_last_fragment_are_not_certain(fragments: list[bytes]) -> None:
    """The first one is used, as the header declares. RLE has no end, so that two bytes FFD9 say nothing there."""
    frames, left_out, _ = found(fragments, 1)
    first = 2 if fragments[1][:2] != JPEG[:2] else 1
    assert (frames, left_out) == ([b"".join(fragments[:first])], 1)


def test_codestreams_that_end_with_their_last_fragment_are_certain() -> None:
    """Two frames of two fragments, of which the header declares one or three."""
    fragments = [JPEG + b"a", b"b" + END, JPEG + b"c", b"d" + END]
    expected = [JPEG + b"ab" + END, JPEG + b"cd" + END]
    assert found(fragments, 1) == (expected, 0, "")
    assert found(fragments, 3) == (expected, 0, "")


def test_too_few_uncertain_frames_are_truncated() -> None:
    """None of the two ends with its last fragment."""
    fragments = [JPEG + b"a", b"b", JPEG + b"c", b"d"]
    detail = "The pixel data at offset 6 end before frame 3."
    assert refused(encapsulated(fragments), 5)[0] is Reason.TRUNCATED
    assert refused(encapsulated([AA, BB]), 3) == (Reason.TRUNCATED, detail)


def test_end_markers_part_unknown_codestreams() -> None:
    """Two frames of two fragments each; the bytes behind the last end marker are a frame as well."""
    assert found([AA, BB + END, CC, AA + END], 2)[0] == [b"aabb" + END, b"ccaa" + END]
    assert found([AA, BB + END, CC], 2)[0] == [b"aabb" + END, b"cc"]
    assert found([AA + END, BB + END, CC + END], 2)[:2] == ([b"aa" + END, b"bb" + END], 1)
    assert found([AA, BB, CC], 1)[0] == [b"aabbcc"]
    assert found([AA + END, BB], 1) == ([AA + END + BB], 0, "")


NOT_CLOSED = "The file ends without the sequence delimiter of its pixel data"


@pytest.mark.parametrize(
    ("fragments", "declared"),
    [
        ([JPEG + b"a", b"b" + END], 1),
        ([JPEG + b"a", JPEG + b"b" + END], 2),
        ([JPEG + b"a" + END, JPEG + b"b", JPEG + b"c" + END], 3),
        ([RLE + b"aa"], 1),
        ([RLE + b"aa", RLE + b"bb"], 2),
    ],
)
def test_only_the_last_frame_must_be_whole_without_the_delimiter(fragments: list[bytes], declared: int) -> None:
    """Its last fragment holds the end, or it is RLE, whose fragment is not cut."""
    frames, left_out, fault = found(fragments, declared, closed=False)
    assert (len(frames), left_out, fault) == (declared, 0, f"{NOT_CLOSED}.")
    assert found(fragments, declared) == (frames, 0, "")


@pytest.mark.parametrize(
    ("fragments", "declared", "last"),
    [
        ([JPEG + b"a" + END, b"b"], 1, 1),
        ([JPEG + b"a" + END, JPEG + b"b"], 2, 2),
        ([JPEG + b"a" + END], 2, 1),
        ([AA + END], 1, 1),
        ([AA + END, BB + END], 2, 2),
        ([], 1, 1),
    ],
)
def test_a_last_frame_that_may_go_on_is_truncated(fragments: list[bytes], declared: int, last: int) -> None:
    """Unknown codestreams may have further fragments."""
    detail = f"{NOT_CLOSED}, in or after frame {last}."
    assert refused(encapsulated(fragments, closed=False), declared) == (Reason.TRUNCATED, detail)


FOREIGN = "The compressed pixel data hold an element that is not a fragment at offset 24"
ZEROS = "The compressed pixel data hold zeros at offset 24"


@pytest.mark.parametrize(
    ("tail", "reason", "said"),
    [
        (b"1234567", Reason.TRUNCATED, NOT_CLOSED),
        (bytes(7), Reason.TRUNCATED, NOT_CLOSED),
        (b"12345678", Reason.BAD_PIXELS, FOREIGN),
        (bytes(8), Reason.TRUNCATED, ZEROS),
        (bytes(8) + b"x", Reason.TRUNCATED, ZEROS),
        (bytes(7) + b"x", Reason.BAD_PIXELS, FOREIGN),
    ],
)  # fmt: skip
def test_what_stands_in_place_of_the_delimiter_is_named(tail: bytes, reason: Reason, said: str) -> None:
    """The offset is that in the file: 6 bytes, the table of 8, and a fragment of 10."""
    assert refused(encapsulated([AA], closed=False) + tail, 1) == (reason, f"{said}, in or after frame 1.")


@pytest.mark.parametrize(("cut", "size"), [(1, 71), (0, 72)])
def test_an_rle_fragment_must_be_whole(cut: int, size: int) -> None:
    """It has no end marker, so that only its length says that it is cut."""
    data = encapsulated([RLE + b"aabbccdd"], closed=False)
    assert len(data) == 8 + 8 + 72
    if cut:
        detail = "The file ends within the fragment at offset 22, in or after frame 1."
        assert refused(data[:-1], 1) == (Reason.TRUNCATED, detail)
    else:
        (frame,) = frame_fragments(data, 0, 1).frames
        assert len(join(data, frame)) == size


@pytest.mark.parametrize(
    ("fragments", "number", "offset"),
    [
        ([b"", AA, BB], 1, 22),
        ([AA, b"", BB], 2, 32),
        ([AA, BB, b"", CC], 3, 42),
        ([JPEG + b"a" + END, b"", JPEG + b"b" + END], 2, 37),
    ],
)
def test_an_empty_frame_is_named_with_its_offset(fragments: list[bytes], number: int, offset: int) -> None:
    """A later frame would move up."""
    detail = f"Frame {number} of the pixel data is empty, at offset {offset}."
    assert refused(encapsulated(fragments), len(fragments)) == (Reason.BAD_PIXELS, detail)


def test_empty_fragments_at_the_end_are_no_frames() -> None:
    """Some writers add them."""
    assert found([AA, BB, b"", b""], 2) == ([AA, BB], 0, "")
    detail = "The pixel data at offset 6 end before frame 3."
    assert refused(encapsulated([AA, BB, b""]), 3) == (Reason.TRUNCATED, detail)
    assert refused(encapsulated([b"", b""]), 1) == (Reason.TRUNCATED, detail.replace("frame 3", "frame 1"))


def test_the_number_of_fragments_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table counts as one of them."""
    monkeypatch.setattr("imaging.encapsulation._MAX_ITEMS", 3)
    assert found([AA, BB], 2)[0] == [AA, BB]
    detail = "The compressed pixel data have too many fragments."
    assert refused(encapsulated([AA, BB, CC]), 3) == (Reason.TOO_LARGE, detail)


def test_pixel_data_without_a_table_are_named_with_their_offset() -> None:
    """Only the delimiter is there, or nothing."""
    delimiter = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    detail = "The compressed pixel data at offset 6 have no item, not even the Basic Offset Table."
    assert refused(delimiter, 1) == (Reason.BAD_PIXELS, detail)
    assert refused(b"", 1) == (Reason.BAD_PIXELS, detail)
    assert refused(delimiter[:7], 1) == (Reason.BAD_PIXELS, detail)


def test_delimiters_of_items_are_skipped_wherever_they_are() -> None:
    """They belong behind items of undefined length."""
    item_end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    first, second = (struct.pack("<HHI", 0xFFFE, 0xE000, 2) + each for each in (AA, BB))
    delimiter = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    table = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    data = table + item_end + first + item_end + second + item_end + delimiter
    frames, _, fault = frame_fragments(data, 0, 2)
    assert ([join(data, spans) for spans in frames], fault) == ([AA, BB], "")


WHOLE = JPEG + b"\x00\x02\xff\xda\x00\x02" + b"a" + END
"""A codestream with a scan, of 13 bytes."""


def test_codestreams_in_one_fragment_are_parted_where_frames_are_missing() -> None:
    """Two of three in one fragment; where no frame is missing nothing is parted."""
    assert found([WHOLE, WHOLE + WHOLE], 3) == ([WHOLE] * 3, 0, "")
    assert found([WHOLE + WHOLE, WHOLE], 3) == ([WHOLE] * 3, 0, "")
    assert found([WHOLE + WHOLE, WHOLE], 2) == ([WHOLE + WHOLE, WHOLE], 0, "")
    assert found([WHOLE + WHOLE], 1) == ([WHOLE] * 2, 0, "")
    assert found([WHOLE[:-2], b"b" + END, WHOLE + WHOLE], 3)[0] == [WHOLE[:-2] + b"b" + END, WHOLE, WHOLE]
