"""Palettes that are written by hand: the segments of PS3.3 C.7.9.2, and the width and the first index of a table."""

import struct
from typing import Any

import numpy as np
import pytest
from test_imaging_high_bits import layout

from imaging.elements import Elements
from imaging.palette import Palette, read_palette
from imaging.walk import Encoding
from nightread.errors import RejectImage
from nightread.reasons import Reason

DESCRIPTORS, DATA, SEGMENTS = 0x00281101, 0x00281201, 0x00281221
"""The tag of red; those of green and blue follow."""


def element(tag: int, vr: bytes, raw: bytes) -> bytes:
    """Return an element with explicit VR."""
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(raw)) + raw


def descriptor(entries: int, first: int, bits: int) -> bytes:
    """Return the value of a descriptor."""
    return struct.pack("<3H", entries, first, bits)


def palette(*, descriptors: list[bytes], tables: dict[int, list[bytes]], **stored: Any) -> Palette | None:
    """Return the palette of a header with these descriptors, and with these tables by the tag of red."""
    parts = [element(DESCRIPTORS + channel, b"OW", raw) for channel, raw in enumerate(descriptors)]
    for tag, channels in sorted(tables.items()):
        parts += [element(tag + channel, b"OW", raw) for channel, raw in enumerate(channels)]
    data = b"".join(parts)
    form = {"photometric": "PALETTE COLOR", "bits_allocated": 8, "bits_stored": 8, "high_bit": 7} | stored
    return read_palette(Elements(data, Encoding(implicit=False, little=True), 0, len(data)), layout(**form))


def greens(described: bytes, red: bytes, green: bytes, tag: int = DATA, **stored: Any) -> list[int]:
    """Return the green of each entry; blue is like red."""
    found = palette(descriptors=[described] * 3, tables={tag: [red, green, red]}, **stored)
    assert found is not None
    values: list[int] = found.table[:, 1].tolist()
    return values


def words(*values: int) -> bytes:
    """Return little endian 16-bit words."""
    return struct.pack(f"<{len(values)}H", *values)


def expanded(entries: int, *segments: int) -> list[int]:
    """Return the entries of a table of words of 8 bits."""
    raw = words(*segments)
    return greens(descriptor(entries, 0, 16), raw, raw, SEGMENTS)


def of_bytes(entries: int, *segments: int) -> list[int]:
    """Return the entries of a table of bytes."""
    return greens(descriptor(entries, 0, 8), bytes(segments), bytes(segments), SEGMENTS)


def test_segments_follow_a_copied_one() -> None:
    """Three entries, their copy, and one entry. The opcodes are 0, 2 and 0."""
    assert expanded(7, 0, 3, 100, 150, 200, 2, 1, 0, 0, 0, 1, 50) == [100, 150, 200, 100, 150, 200, 50]
    assert of_bytes(7, 0, 3, 100, 150, 200, 2, 1, 0, 0, 0, 0, 0, 1, 50, 0) == [100, 150, 200, 100, 150, 200, 50]
    assert of_bytes(7, 0, 3, 100, 150, 200, 2, 1, 0, 0, 0, 0, 1, 1, 50, 0) == [100, 150, 200, 100, 150, 200, 50]


def test_several_segments_are_copied() -> None:
    """Two of three, from the second on: 8 bytes before it in words, or four."""
    assert expanded(6, 0, 2, 10, 20, 0, 1, 30, 0, 1, 40, 2, 2, 8, 0) == [10, 20, 30, 40, 30, 40]
    assert of_bytes(6, 0, 2, 10, 20, 0, 1, 30, 0, 1, 40, 2, 2, 4, 0, 0, 0) == [10, 20, 30, 40, 30, 40]


def test_a_copied_line_begins_at_the_last_entry() -> None:
    """From 10 to 30 in two steps. Its copy begins at 12, so that 21 is halfway."""
    assert expanded(6, 0, 1, 10, 1, 2, 30, 0, 1, 12, 2, 1, 6, 0) == [10, 20, 30, 12, 21, 30]


def test_a_line_at_the_beginning_starts_at_zero() -> None:
    """Also one that an indirect segment at the beginning copies; its offset of four counts words."""
    assert expanded(2, 1, 2, 2) == [1, 2]
    assert expanded(4, 2, 1, 4, 0, 1, 2, 20) == [10, 20, 20, 20]


def test_an_offset_counts_bytes_only_if_a_segment_begins_there() -> None:
    """Segments begin at the words 0, 4 and 9. Offsets of 4 and 9 words are not those of bytes."""
    first = [0, 2, 10, 20, 0, 3, 30, 40, 50, 0, 1, 60]
    assert expanded(9, *first, 2, 1, 4, 0) == [10, 20, 30, 40, 50, 60, 30, 40, 50]
    assert expanded(7, *first, 2, 1, 9, 0) == [10, 20, 30, 40, 50, 60, 60]
    assert expanded(9, *first, 2, 1, 8, 0) == [10, 20, 30, 40, 50, 60, 30, 40, 50]


def test_an_offset_has_32_bits() -> None:
    """33,000 entries of words are 66,004 bytes: 468 and 1 in two words."""
    found = expanded(33_002, 0, 33_000, *[5] * 33_000, 0, 1, 7, 2, 1, 468, 1)
    assert found[-3:] == [5, 7, 7]


def test_the_last_segment_may_give_too_many_entries() -> None:
    """Only the width that was said is read in this way."""
    assert expanded(3, 0, 2, 100, 150, 0, 2, 200, 250) == [100, 150, 200]
    assert of_bytes(3, 0, 2, 100, 150, 0, 2, 200, 250) == [100, 150, 200]


def test_the_width_that_was_said_is_tried_first() -> None:
    """One entry: a line to 257, or the byte 1 behind an empty line. 257 has nine bits, so that it is shown as 128."""
    raw = words(1, 1, 0x0101)
    assert greens(descriptor(1, 0, 16), raw, raw, SEGMENTS) == [128]
    assert greens(descriptor(1, 0, 8), raw, raw, SEGMENTS) == [1]


def test_the_other_width_is_tried_before_too_many_entries_are_taken() -> None:
    """One entry: a line of two words is too much, and the byte behind an empty line is right."""
    line = words(1, 2, 0x0101)
    assert greens(descriptor(1, 0, 16), line, line, SEGMENTS) == [1]
    both = words(1, 2, 0x0902, 7)
    assert greens(descriptor(1, 0, 8), both, both, SEGMENTS) == [9]


@pytest.mark.parametrize(
    "segments",
    [
        (0, 1, 100),
        (0, 3, 100, 150),
        (0, 1, 100, 2, 1, 0, 0, 2, 1, 6, 0),
        (0, 1, 100, 9, 1, 150, 0, 1, 7),
        (0, 1, 100, 0),
    ],
    ids=["one of three", "two of three", "a copy of a copy", "an unknown opcode", "a cut header"],
)
def test_segments_that_do_not_give_all_entries_are_damaged(segments: tuple[int, ...]) -> None:
    """Three entries are said. Neither words nor bytes give them."""
    with pytest.raises(RejectImage) as refusal:
        expanded(3, *segments)
    named = "SegmentedRedPaletteColorLookupTableData (0028,1221)"
    assert (refusal.value.reason, refusal.value.detail) == (
        Reason.BAD_HEADER, f"The segmented colour palette {named} is damaged.",
    )  # fmt: skip


def test_a_table_of_entries_is_preferred_to_segments() -> None:
    """Any of its channels is enough to expect the others there."""
    tables = {DATA: [b"\1\2"] * 3, SEGMENTS: [b"\0\2\7\7"] * 3}
    found = palette(descriptors=[descriptor(2, 0, 8)], tables=tables)
    assert found is not None
    assert found.table.tolist() == [[1] * 3, [2] * 3]
    tables[DATA] = [b"", b"\1\2", b""]
    with pytest.raises(RejectImage, match=r"lacks RedPaletteColorLookupTableData \(0028,1201\)\.$"):
        palette(descriptors=[descriptor(2, 0, 8)], tables=tables)


def test_a_header_without_a_table_has_no_palette() -> None:
    """A descriptor alone is none."""
    assert palette(descriptors=[descriptor(2, 0, 8)], tables={}) is None


def test_the_second_or_third_descriptor_is_enough() -> None:
    """The first table begins at 3."""
    for described in ([b"", descriptor(2, 3, 8)], [b"", b"", descriptor(2, 3, 8)]):
        found = palette(descriptors=described, tables={DATA: [b"\1\2"] * 3})
        assert found is not None
        assert (found.first, found.table[:, 0].tolist(), found.complete) == (3, [1, 2], True)


@pytest.mark.parametrize(
    ("first", "entries", "stored", "expected"),
    [
        (65535, 4, {"bits_stored": 16}, 65535),
        (32768, 65536, {"bits_stored": 15}, -32768),
        (32768, 65536, {"bits_stored": 16}, 32768),
        (32768, 4, {"bits_stored": 16, "signed": True}, -32768),
        (65535, 4, {"bits_stored": 8, "signed": True}, -1),
        (65533, 4, {"bits_stored": 8}, -3),
        (65532, 4, {"bits_stored": 8}, 65532),
    ],
)
def test_the_first_index_is_one_that_pixels_can_have(
    first: int, entries: int, stored: dict[str, Any], expected: int
) -> None:
    """Its 16 bits are read with a sign if the pixels have one, or if no pixel reaches the table without."""
    described = descriptor(entries % 65536, first, 16)
    found = palette(descriptors=[described], tables={DATA: [bytes(2 * entries)] * 3}, bits_allocated=16, **stored)
    assert found is not None
    assert found.first == expected


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0x00FF, [0, 255]), (0x0FFF, [0, 255]), (0x0800, [0, 128]), (0x1000, [0, 16]), (0xFFFF, [0, 255])],
)
def test_words_of_at_most_12_bits_are_as_bright_as_their_largest(largest: int, expected: list[int]) -> None:
    """From 13 bits on the entries have 16: 0x1000 is a sixteenth of white."""
    raw = words(0, largest)
    assert greens(descriptor(2, 0, 16), raw, raw) == expected


def test_entries_of_fewer_than_8_bits_stay_as_they_are() -> None:
    """Six bits are said: 63 is not white, because nobody knows the unit."""
    for encode in (lambda *values: bytes(values), words):
        assert greens(descriptor(2, 0, 6), encode(0, 63), encode(0, 63)) == [0, 63]


def test_one_channel_of_bytes_is_enough_for_a_width_of_8_bits() -> None:
    """16 bits are said, and red and blue are words: 200 is not nearly black."""
    assert greens(descriptor(2, 0, 16), words(3, 200), bytes([3, 200])) == [3, 200]


def test_the_shortest_channel_counts() -> None:
    """Green lacks one of three entries: the table has two, and a pixel of index 2 cannot be shown."""
    tables = {DATA: [b"\1\2\3", b"\4\5", b"\6\7\x08"]}
    found = palette(descriptors=[descriptor(3, 0, 8)], tables=tables)
    assert found is not None
    assert (found.table.tolist(), found.complete) == ([[1, 4, 6], [2, 5, 7]], False)
    assert found.to_rgb(np.array([[0, 1]])).tolist() == [[[1, 4, 6], [2, 5, 7]]]
    with pytest.raises(RejectImage) as refusal:
        found.to_rgb(np.array([[0, 2]]))
    assert refusal.value.detail == "The pixels refer to entries that the colour palette lacks."


def test_a_palette_without_a_whole_entry_is_empty() -> None:
    """One byte is no word."""
    with pytest.raises(RejectImage) as refusal:
        greens(descriptor(4, 0, 16), b"\1", b"\1")
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, "The colour palette is empty.")


def test_indices_outside_of_a_complete_table_get_its_ends() -> None:
    """The table is for the stored values 250 and 251; the difference of 8-bit numbers must not overflow."""
    ends = Palette(first=250, table=np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    stored = np.array([[0, 250, 251, 255]], np.uint8)
    assert ends.to_rgb(stored).tolist() == [[[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]]]
