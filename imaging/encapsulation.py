"""Find the compressed bytes of each frame in encapsulated pixel data (PS3.5 section A.4)."""

import struct
from itertools import pairwise

from nightread.errors import RejectImage
from nightread.reasons import Reason

Span = tuple[int, int]
"""Start and end of a fragment's bytes."""

_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_ITEM_HEADER = struct.Struct("<HHI")
_END_OF_IMAGE = b"\xff\xd9"
_TAIL = 10
_MAX_ITEMS = 500_000
"""Maximum number of fragments of one object. A fragment takes 8 bytes of the file, but about 160 bytes of memory."""


def frame_fragments(data: bytes, start: int, frames: int, extended_offsets: bytes = b"") -> list[list[Span]]:
    """Return the fragments of each frame, by the extended or basic offset table, else by counting fragments.

    `start` is the position of the item of the basic offset table. Raises RejectImage: TRUNCATED if frames are missing,
    BAD_PIXELS if the pixel data hold anything except fragments, TOO_LARGE for too many fragments.
    """
    table, spans = _items(data, start)
    offsets = _offsets(extended_offsets, "Q", frames) or _offsets(data[slice(*table)], "I", frames)
    groups = _by_offsets(spans, offsets) or _by_number(data, spans, frames)
    if len(groups) < frames:
        raise RejectImage(Reason.TRUNCATED, "The file holds fewer compressed frames than NumberOfFrames.")
    return groups[:frames]


def join(data: bytes, spans: list[Span]) -> bytes:
    """Return the compressed bytes of one frame."""
    return b"".join(data[start:end] for start, end in spans)


def _items(data: bytes, position: int) -> tuple[Span, list[Span]]:
    spans: list[Span] = []
    while True:
        if position + 8 > len(data):
            raise RejectImage(Reason.TRUNCATED, "The file ends before the end of its compressed frames.")
        group, number, length = _ITEM_HEADER.unpack_from(data, position)
        tag = group << 16 | number
        position += 8
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM:
            raise RejectImage(Reason.BAD_PIXELS, "The compressed pixel data hold an element that is not a fragment.")
        if length > len(data) - position:
            raise RejectImage(Reason.TRUNCATED, "The file ends within a compressed frame.")
        spans.append((position, position + length))
        position += length
        if len(spans) > _MAX_ITEMS:
            raise RejectImage(Reason.TOO_LARGE, "The compressed pixel data have too many fragments.")
    if not spans:
        raise RejectImage(Reason.BAD_PIXELS, "The compressed pixel data have no offset table.")
    return spans[0], spans[1:]


def _offsets(table: bytes, code: str, frames: int) -> list[int]:
    """Return one offset per frame; empty if the size of the table does not match the number of frames."""
    if len(table) != struct.calcsize(code) * frames:
        return []
    return list(struct.unpack(f"<{frames}{code}", table))


def _by_offsets(spans: list[Span], offsets: list[int]) -> list[list[Span]]:
    """Group the fragments by the offsets; empty if the offsets are missing or do not match the fragments."""
    if not offsets or not spans:
        return []
    origin = spans[0][0]
    starts = {start - origin: index for index, (start, _) in enumerate(spans)}
    firsts = [starts.get(offset, -1) for offset in offsets]
    bounds = [*firsts, len(spans)]
    if firsts[0] != 0 or any(low >= high for low, high in pairwise(bounds)):
        return []
    return [spans[low:high] for low, high in pairwise(bounds)]


def _by_number(data: bytes, spans: list[Span], frames: int) -> list[list[Span]]:
    if frames == 1:
        return [spans] if spans else []
    if len(spans) <= frames:
        return [[span] for span in spans]
    groups: list[list[Span]] = [[]]
    for start, end in spans:
        groups[-1].append((start, end))
        if _END_OF_IMAGE in data[max(start, end - _TAIL) : end]:
            groups.append([])
    return [group for group in groups if group]
