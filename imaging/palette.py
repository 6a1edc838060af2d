"""Read the palette of a PALETTE COLOR image, and map indices to colours (PS3.3 C.7.6.3.1.5, C.7.9)."""

from dataclasses import dataclass

import numpy as np

from imaging import tags
from imaging.array import Array
from imaging.elements import Elements
from imaging.lookup_table import (
    BYTE_BITS,
    WORD_BITS,
    Descriptor,
    ValueRange,
    bits_reached,
    first_mapped,
    guessed_descriptor,
    low_bytes,
    packed_bytes,
    read_descriptor,
    read_entries,
)
from imaging.pixel_layout import PixelLayout
from imaging.tags import tag_name
from nightread.errors import RejectImage
from nightread.reasons import Reason

_DARKEST_BITS = 12
"""A palette that declares 16 bits has entries of more bits than this. Otherwise the declaration is wrong, because the
palette would be nearly black."""
_MOST_SURPLUS = 1 << 16
"""Maximum number of entries that segments of the declared width may yield beyond the declared number."""
_Channel = tuple[Array, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """A colour palette. `table` is uint8 of shape (entries, 3); its first row is for the stored value `first`."""

    first: int
    table: Array
    complete: bool = True
    """Whether the table has as many entries as its descriptor declares."""

    def to_rgb(self, stored: Array) -> Array:
        """Map integers of shape (rows, columns) to uint8 of shape (rows, columns, 3).

        Values outside of the table get its first or last colour. Raises RejectImage(BAD_HEADER) if the table is
        incomplete, and a pixel needs an entry behind its end.
        """
        index = stored.astype(np.int64) - self.first
        if not self.complete and int(index.max()) >= len(self.table):
            raise RejectImage(Reason.BAD_HEADER, "The pixels refer to entries that the colour palette lacks.")
        return self.table[np.clip(index, 0, len(self.table) - 1)]


def read_palette(elements: Elements, layout: PixelLayout) -> Palette | None:
    """Read the palette, reduced to 8 bits per colour. Return None if the header has no palette.

    Raises RejectImage(BAD_HEADER) if the palette is damaged.
    """
    segmented = not any(elements.raw(tag) for tag in tags.PALETTE_DATA)
    data_tags = tags.SEGMENTED_PALETTE_DATA if segmented else tags.PALETTE_DATA
    present = [bool(elements.raw(tag)) for tag in data_tags]
    if not any(present):
        return None
    if not all(present):
        raise RejectImage(Reason.BAD_HEADER, f"The colour palette lacks {tag_name(data_tags[present.index(False)])}.")
    descriptor = _descriptor(elements, layout, len(elements.raw(data_tags[0])))
    read = _expand if segmented else read_entries
    table = _in_bytes([read(elements, tag, descriptor) for tag in data_tags], descriptor.bits)
    limit = 1 << layout.bits_stored - layout.signed
    first = first_mapped(descriptor, ValueRange(-limit if layout.signed else 0, limit - 1))
    return Palette(first=first, table=table, complete=len(table) == descriptor.entries)


def _descriptor(elements: Elements, layout: PixelLayout, data_bytes: int) -> Descriptor:
    """Return the descriptor of the first channel that has one, else a guess by the length of the data."""
    for tag in tags.PALETTE_DESCRIPTORS:
        if descriptor := read_descriptor(elements, tag):
            return descriptor
    return guessed_descriptor(data_bytes, layout.bits_stored)


def _in_bytes(channels: list[_Channel], said: int) -> Array:
    """Return the table as uint8 of shape (entries, 3). All channels together decide the bits of an entry."""
    entries = min(len(values) for values, _ in channels)
    if not entries:
        raise RejectImage(Reason.BAD_HEADER, "The colour palette is empty.")
    table = np.stack([values[:entries] for values, _ in channels], axis=-1)
    if any(in_byte for _, in_byte in channels):
        said = BYTE_BITS
    elif said <= BYTE_BITS:
        table = low_bytes(table)
    bits = bits_reached(int(table.max()), said)
    if said == WORD_BITS and bits > _DARKEST_BITS:
        bits = WORD_BITS
    return (table >> (bits - BYTE_BITS) if bits > BYTE_BITS else table).astype(np.uint8)


def _expand(elements: Elements, tag: int, descriptor: Descriptor) -> _Channel:
    """Expand discrete, linear and indirect segments (PS3.3 C.7.9.2).

    They are read in the declared width (bytes or words), and in the other width if this does not yield all entries.
    """
    said_bytes = descriptor.bits <= BYTE_BITS
    for in_bytes, most in ((said_bytes, 0), (not said_bytes, 0), (said_bytes, _MOST_SURPLUS)):
        values = _expanded(elements, tag, in_bytes=in_bytes, entries=descriptor.entries)
        if 0 <= len(values) - descriptor.entries <= most:
            return np.array(values[: descriptor.entries], np.uint16), in_bytes
    raise RejectImage(Reason.BAD_HEADER, f"The segmented colour palette {tag_name(tag)} is damaged.")


def _expanded(elements: Elements, tag: int, *, in_bytes: bool, entries: int) -> list[int]:
    """Return the entries of the segments, read as bytes or as words; an empty list if this is not possible."""
    if in_bytes:
        words = packed_bytes(elements, tag).tolist()
    else:
        words = [int(word) for word in elements.unpack(elements.raw(tag), "H")]
    try:
        return _segments(words, 0, None, entries, wide=not in_bytes)
    except (IndexError, ValueError):
        return []


def _segments(
    words: list[int], position: int, count: int | None, entries: int, *, wide: bool, before: int = 0
) -> list[int]:
    values: list[int] = []
    starts: set[int] = set()
    while position < len(words) and len(values) < entries and len(starts) != count:
        starts.add(position)
        kind, length = words[position], words[position + 1]
        if kind == 0:
            values += words[position + 2 : position + 2 + length]
            position += 2 + length
        elif kind == 1:
            start = values[-1] if values else before
            steps = np.linspace(start, words[position + 2], length + 1)[1:]
            values += [round(step) for step in steps]
            position += 3
        elif kind == 2 and count is None:  # noqa: PLR2004 - opcode of an indirect segment, which must not nest
            last = values[-1] if values else before
            copied = _copied_from(words, position + 2, starts, wide=wide)
            values += _segments(words, copied, length, entries, wide=wide, before=last)
            position += 4 if wide else 6
        else:
            raise ValueError(kind)
    return values


def _copied_from(words: list[int], at: int, starts: set[int], *, wide: bool) -> int:
    """Return the position of the first segment that an indirect segment copies.

    Its offset counts bytes (PS3.3 C.7.9.2.3). Some writers count words of 16 bits.
    """
    if not wide:
        return int.from_bytes(bytes(words[at : at + 4]), "little")
    offset = words[at] | words[at + 1] << 16
    return offset // 2 if offset % 2 == 0 and offset // 2 in starts else offset
