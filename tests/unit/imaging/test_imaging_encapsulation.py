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
