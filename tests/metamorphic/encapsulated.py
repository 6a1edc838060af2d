"""Encapsulate compressed frames (PS3.5 section A.4), in lawful and in unlawful ways that real writers have."""

import struct

from metamorphic.axes import Cell
from metamorphic.elements import ITEM, ITEM_END, SEQUENCE_END, DataSet, Form, delimiter

_ITEM = Form()
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002
_SLACK = 42
"""More zero bytes behind the end marker than a search in the last 32 bytes finds."""


def pixel_items(frames: list[bytes], cell: Cell) -> bytes:
    """Return the value of the pixel data element: offset table, fragments and delimiter."""
    fragments = [_fragments(frame, cell) for frame in frames]
    offsets = _offsets(fragments)
    table = b""
    if cell.items in ("table", "fragments"):
        table = struct.pack(f"<{len(offsets)}I", *offsets)
    elif cell.items == "wrong_table":  # counted from the item of the table itself, as some writers do
        table = struct.pack(f"<{len(offsets)}I", *(offset + 8 + 4 * len(offsets) for offset in offsets))
    items = [table, *(fragment for frame in fragments for fragment in frame)]
    if cell.end == "empty_fragment":
        items.append(b"")
    return b"".join(delimiter(ITEM, _ITEM, len(item)) + item for item in items) + _end(cell.end)


def extended_table(frames: list[bytes], cell: Cell) -> DataSet:
    """Return the elements of the extended offset table, which replaces the basic one."""
    if cell.items != "extended":
        return {}
    fragments = [_fragments(frame, cell) for frame in frames]
    lengths = [len(frame[0]) for frame in fragments]
    return {
        EXTENDED_OFFSETS: ("OV", struct.pack(f"<{len(frames)}Q", *_offsets(fragments))),
        EXTENDED_LENGTHS: ("OV", struct.pack(f"<{len(frames)}Q", *lengths)),
    }


def _fragments(frame: bytes, cell: Cell) -> list[bytes]:
    frame += b"\0" * (_SLACK if cell.end == "slack" else 0)
    frame += b"\0" * (len(frame) % 2)
    if not cell.items.startswith("fragments"):
        return [frame]
    middle = len(frame) // 4 * 2
    return [frame[:middle], frame[middle:]]


def _offsets(fragments: list[list[bytes]]) -> list[int]:
    """Return the positions of the first items of all frames, counted from the first item behind the table."""
    offsets = [0]
    for frame in fragments:
        offsets.append(offsets[-1] + sum(8 + len(fragment) for fragment in frame))
    return offsets[:-1]


def _end(end: str) -> bytes:
    if end == "no_delimiter":
        return b""
    if end == "zeros":
        return bytes(8)
    if end == "item_delimiter":
        return delimiter(ITEM_END, _ITEM)
    return delimiter(SEQUENCE_END, _ITEM)
