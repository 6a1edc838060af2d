"""Change encapsulated pixel data: items, offsets and codestreams."""

import random
import struct

from fuzz.file_layout import FileLayout

_LENGTHS = (0, 1, 2, 3, 8, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_BYTES = (0, 1, 2, 3, 4, 8, 16, 31, 32, 33, 38, 63, 64, 127, 128, 254, 255)
_HEAD = 256


def change_item_length(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Change the length of one fragment or of the offset table."""
    start, end = rng.choice(layout.fragments)
    length = rng.choice((*_LENGTHS, end - start + rng.randint(-9, 9)))
    body[start - 4 : start] = struct.pack("<I", length & 0xFFFFFFFF)


def change_offset_table(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Change one offset. If the table is empty, set its length to 4, so that it covers part of the first fragment."""
    start, end = layout.fragments[0]
    if end - start < 4:
        body[start - 4 : start] = struct.pack("<I", 4)
        return
    at = start + rng.randrange((end - start) // 4) * 4
    body[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 8, end, len(body), 0xFFFFFFFF)))


def change_stream_header(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Change a few bytes at the start of a codestream, where sizes, tables and segment lengths are declared."""
    start, end = _stream(layout, rng)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = start + rng.randrange(max(min(end - start, rng.choice((32, 96, _HEAD))), 1))
        if at < len(body):
            body[at] = rng.choice(_BYTES) if rng.random() < 0.7 else rng.randrange(256)


def change_stream_middle(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Overwrite entropy-coded bytes of a codestream with markers and other bytes."""
    start, end = _stream(layout, rng)
    for _ in range(rng.choice((1, 4, 32))):
        at = rng.randrange(start, max(end, start + 1))
        marker = rng.choice(
            (b"\xff\xd9", b"\xff\xda", b"\xff\x93", b"\xff\x90", b"\xff\xc4", b"\xff", b"\x00", b"\x80")
        )
        body[at : at + len(marker)] = marker


def cut_stream(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Remove bytes of a codestream and adjust the length of its item, so that only the codestream is damaged."""
    start, end = _stream(layout, rng)
    first = rng.randrange(start, max(end, start + 1))
    last = min(first + rng.choice((1, 16, end - start)), end)
    keep = bytes(body[start:first]) + bytes(body[last:end])
    if rng.random() < 0.5 and len(keep) > 2:
        keep = keep[:-2] + b"\xff\xd9"
    body[start - 4 : end] = struct.pack("<I", len(keep)) + keep


def swap_items(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Replace one fragment by a copy of another."""
    (start, end), (first, last) = _stream(layout, rng), _stream(layout, rng)
    other = layout.body[first:last]
    body[start - 4 : end] = struct.pack("<I", len(other)) + other


def _stream(layout: FileLayout, rng: random.Random) -> tuple[int, int]:
    return rng.choice(layout.fragments[1:] or layout.fragments)
