"""Find the compressed bytes of each frame in encapsulated pixel data (PS3.5 section A.4).

The number of frames follows from the data: each frame begins with the marker of its codestream. Offset tables and
NumberOfFrames decide only if these markers are not known.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from imaging.joined_codestreams import STARTS, Span, is_rle, split
from nightread.errors import RejectImage
from nightread.reasons import Reason

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_TAGS = (_ITEM, _ITEM_END, _SEQUENCE_END)
_ITEM_HEADER = struct.Struct("<HHI")
_END_OF_IMAGE = b"\xff\xd9"
_MAX_ITEMS = 500_000
"""Maximum number of fragments of one object. A fragment takes 8 bytes of the file, but about 160 bytes of memory."""


class EncapsulatedFrames(NamedTuple):
    """The fragments of each frame."""

    frames: list[list[Span]]
    left_out: int
    """Number of further frames that the data seem to hold, but that could not be separated with certainty."""
    fault: str
    """What is wrong behind the last frame; empty if the sequence delimiter follows it."""


class _Items(NamedTuple):
    table: Span
    spans: list[Span]
    fault: RejectImage | None
    """Why the items end without a sequence delimiter."""
    cut: bool
    """Whether the file ends within the last fragment."""


class _Grouping(NamedTuple):
    frames: list[list[Span]]
    certain: bool
    """Whether the number of frames is sure, because the codestreams or the offset tables show it."""
    left_out: int = 0


def frame_fragments(data: bytes, start: int, declared: int, extended_offsets: bytes = b"") -> EncapsulatedFrames:
    """Return the fragments of each frame.

    `start` is the position of the item of the basic offset table, and `declared` the number of frames in the header.
    The result has more or fewer frames if the data certainly hold more or fewer. Raises RejectImage: TRUNCATED if a
    frame is missing or cut; BAD_PIXELS if a frame is empty, or if anything except fragments comes before the end of the
    last frame; TOO_LARGE for too many fragments.
    """
    table, spans, fault, cut = _items(data, start)
    if declared == len(spans) == 1:
        certain = True
        frames, left_out = _split(data, [spans])
    else:
        filled = [span for span in spans if span[0] < span[1]]  # Some writers add an empty fragment.
        tables = _offsets(extended_offsets, "Q", len(filled)), _offsets(data[slice(*table)], "I", len(filled))
        frames, certain, left_out = _grouping(data, filled, declared, tables)
        if len(frames) < declared:
            frames = _split_missing(data, start, frames, declared)
        if len(frames) < declared:
            _check_empty(spans, frames)
    if fault and (len(frames) < declared or not _is_whole(data, frames[-1], cut=cut)):
        raise RejectImage(fault.reason, f"{fault.detail}, in or after frame {max(len(frames), 1)}.")
    if not frames or (len(frames) < declared and not certain):
        raise RejectImage(Reason.TRUNCATED, f"The pixel data at offset {start:,} end before frame {len(frames) + 1}.")
    return EncapsulatedFrames(frames, left_out, f"{fault.detail}." if fault else "")


def _split(data: bytes, frames: list[list[Span]]) -> tuple[list[list[Span]], int]:
    """Split each frame whose only fragment holds several codestreams. Count the frames that cannot be split."""
    parts: list[list[Span]] = []
    unsplit = 0
    for frame in frames:
        found = split(data, frame[0]) if len(frame) == 1 else None
        parts += [frame] if found is None else [[each] for each in found.spans]
        unsplit += found is not None and found.unsplit
    return parts, unsplit


def _split_missing(data: bytes, start: int, frames: list[list[Span]], declared: int) -> list[list[Span]]:
    """Split frames that hold several codestreams. Raises RejectImage if some cannot be separated."""
    parts, unsplit = _split(data, frames)
    if unsplit and len(parts) < declared:
        joined = f"The pixel data at offset {start:,} hold several frames in one fragment, which cannot be separated"
        raise RejectImage(Reason.TRUNCATED, f"{joined}, in or after frame {len(parts)}.")
    return parts


def _check_empty(spans: list[Span], frames: list[list[Span]]) -> None:
    """Raise RejectImage if a fragment is empty: its frame is missing, and later frames would get wrong numbers."""
    for start, end in spans:
        if start == end:
            number = 1 + sum(frame[0][0] < start for frame in frames)
            raise RejectImage(Reason.BAD_PIXELS, f"Frame {number} of the pixel data is empty, at offset {start:,}.")


def join(data: bytes, spans: list[Span]) -> bytes:
    """Return the compressed bytes of one frame."""
    return b"".join(data[start:end] for start, end in spans)


def _items(data: bytes, start: int) -> _Items:
    spans: list[Span] = []
    fault, cut = None, False
    position = start
    while fault is None:
        tag, length, position = _next_item(data, position)
        if tag == _SEQUENCE_END:
            break
        if tag == _ITEM_END:  # It ends an item of undefined length, or replaces the sequence delimiter.
            continue
        if tag != _ITEM:
            fault = _end_without_delimiter(data, position - 8)
        elif length > len(data) - position:
            fault, cut = (
                RejectImage(Reason.TRUNCATED, f"The file ends within the fragment at offset {position:,}"),
                True,
            )
            spans.append((position, len(data)))
        else:
            spans.append((position, position + length))
            position += length
        if len(spans) > _MAX_ITEMS:
            raise RejectImage(Reason.TOO_LARGE, "The compressed pixel data have too many fragments.")
    if not spans:
        detail = f"The compressed pixel data at offset {start:,} have no item, not even the Basic Offset Table."
        raise RejectImage(Reason.BAD_PIXELS, detail)
    while len(spans) > 1 and spans[-1][0] == spans[-1][1]:  # Some writers end with an empty fragment.
        spans.pop()
    return _Items(spans[0], spans[1:], fault, cut)


def _next_item(data: bytes, position: int) -> tuple[int, int, int]:
    """Return tag and length of the next item, and the position of its value; tag 0 if there is no item.

    A fragment of odd length may be followed by a byte of padding that its length does not count.
    """
    for at in (position, position + 1):
        if at + 8 <= len(data):
            group, number, length = _ITEM_HEADER.unpack_from(data, at)
            if group << 16 | number in _ITEM_TAGS:
                return group << 16 | number, length, at + 8
    return 0, 0, position + 8


def _end_without_delimiter(data: bytes, position: int) -> RejectImage:
    if position + 8 > len(data):
        return RejectImage(Reason.TRUNCATED, "The file ends without the sequence delimiter of its pixel data")
    if not data[position : position + 8].strip(b"\x00"):  # A file that is still arriving may end with zeros.
        return RejectImage(Reason.TRUNCATED, f"The compressed pixel data hold zeros at offset {position:,}")
    foreign = f"The compressed pixel data hold an element that is not a fragment at offset {position:,}"
    return RejectImage(Reason.BAD_PIXELS, foreign)


def _offsets(table: bytes, code: str, most: int) -> Sequence[int]:
    """Return the offsets in a table; empty if the table has more offsets than there are fragments."""
    count, left = divmod(len(table), struct.calcsize(code))
    return () if left or count > most else struct.unpack(f"<{count}{code}", table)


def _grouping(data: bytes, spans: list[Span], declared: int, tables: Sequence[Sequence[int]]) -> _Grouping:
    by_start = _by_start(data, spans)
    by_tables = [frames for offsets in tables if (frames := _by_offsets(spans, offsets))]
    for frames in by_tables:
        if len(frames) == declared >= len(by_start):
            return _Grouping(frames, certain=True)
    if len(by_start) == declared or (by_start and _is_certain(data, spans, by_start)):
        return _Grouping(by_start, certain=True)
    if by_tables and not by_start and len(by_tables[0]) > declared:
        return _Grouping(by_tables[0], certain=True)
    frames = by_start if len(by_start) > declared else _by_number(data, spans, declared)
    return _Grouping(frames[:declared], certain=False, left_out=max(len(frames) - declared, 0))


def _by_start(data: bytes, spans: list[Span]) -> list[list[Span]]:
    """Return the fragments of each codestream; no group if the first fragment does not begin a known codestream."""
    groups: list[list[Span]] = []
    for span in spans:
        if _begins_frame(data, span):
            groups.append([span])
        elif groups:
            groups[-1].append(span)
        else:
            return []
    return groups


def _begins_frame(data: bytes, span: Span) -> bool:
    start, end = span
    return data[start : start + 8].startswith(STARTS) or is_rle(data, start, end)


def _is_certain(data: bytes, spans: list[Span], groups: list[list[Span]]) -> bool:
    """Return whether each fragment begins a frame, or each frame has its end marker only in its last fragment."""
    if len(groups) == len(spans):
        return True
    return all(
        _has_end(data, group[-1]) and not any(_has_end(data, span) for span in group[:-1]) for group in groups
    ) and not any(is_rle(data, *group[0]) for group in groups)


def _is_whole(data: bytes, group: list[Span], *, cut: bool) -> bool:
    """Return whether a frame with a known codestream is complete. RLE has no end marker, but is always one fragment."""
    if is_rle(data, *group[0]):
        return not cut
    return _begins_frame(data, group[0]) and _has_end(data, group[-1])


def _has_end(data: bytes, span: Span) -> bool:
    return data.rfind(_END_OF_IMAGE, *span) >= 0


def _by_offsets(spans: list[Span], offsets: Sequence[int]) -> list[list[Span]]:
    """Group the fragments by the offsets. Return no group if the offsets are missing or do not match the fragments."""
    if not offsets:
        return []
    origin = spans[0][0]
    starts = {start - origin: index for index, (start, _) in enumerate(spans)}
    firsts = [starts.get(offset, -1) for offset in offsets]
    bounds = [*firsts, len(spans)]
    if firsts[0] != 0 or any(low >= high for low, high in pairwise(bounds)):
        return []
    return [spans[low:high] for low, high in pairwise(bounds)]


def _by_number(data: bytes, spans: list[Span], declared: int) -> list[list[Span]]:
    if declared == 1:
        return [spans] if spans else []
    if len(spans) <= declared:
        return [[span] for span in spans]
    groups: list[list[Span]] = [[]]
    for span in spans:
        groups[-1].append(span)
        if _has_end(data, span):
            groups.append([])
    return [group for group in groups if group]
