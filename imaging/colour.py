"""Convert stored colours to RGB: YBR (PS3.3 C.7.6.3.1.2) and palettes (C.7.6.3.1.5, C.7.9)."""

import struct
from dataclasses import dataclass

import numpy as np

from imaging import tags
from imaging.array import Array
from imaging.elements import Elements
from nightread.errors import RejectImage
from nightread.reasons import Reason

_FROM_YBR = np.array([[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]], np.float32)
_CHROMA_ZERO = np.array([0, 128, 128], np.float32)
_BYTE_BITS = 8
_MAX_ENTRIES = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """A colour palette. `table` is uint8 of shape (entries, 3); its first row is for the stored value `first`."""

    first: int
    table: Array

    def to_rgb(self, stored: Array) -> Array:
        """Map integers of shape (rows, columns) to uint8 of shape (rows, columns, 3).

        Values outside of the table get its first or last colour.
        """
        index = np.clip(stored.astype(np.int64) - self.first, 0, len(self.table) - 1)
        return self.table[index]


def ybr_to_rgb(ybr: Array) -> Array:
    """Convert 8-bit YBR_FULL of shape (rows, columns, 3) to RGB, rounded half up."""
    rgb = (ybr.astype(np.float32) - _CHROMA_ZERO) @ _FROM_YBR
    return np.clip(np.floor(rgb + 0.5), 0, 255).astype(np.uint8)


def read_palette(elements: Elements, *, signed: bool) -> Palette:
    """Read the palette of a PALETTE COLOR image; 16-bit entries are reduced to 8 bits.

    Raises RejectImage(BAD_HEADER) if it is missing or invalid.
    """
    entries, first, bits = lut_descriptor(elements, tags.PALETTE_DESCRIPTORS[0], signed=signed)
    if tags.PALETTE_DATA[0] in elements:
        channels = [lut_entries(elements, tag, entries) for tag in tags.PALETTE_DATA]
    else:
        channels = [_expand(elements, tag, entries, bits) for tag in tags.SEGMENTED_PALETTE_DATA]
    if any(len(channel) != entries for channel in channels):
        raise RejectImage(Reason.BAD_HEADER, "The colour palette is missing or incomplete.")
    table = np.stack(channels, axis=-1)
    return Palette(first=first, table=(table >> (bits - _BYTE_BITS) if bits > _BYTE_BITS else table).astype(np.uint8))


def lut_descriptor(elements: Elements, tag: int, *, signed: bool) -> tuple[int, int, int]:
    """Return the number of entries, the first mapped value, and the bits of an entry.

    `signed` is the sign of the first mapped value if the VR is not written. Raises RejectImage(BAD_HEADER).
    """
    raw = elements.raw(tag)
    if len(raw) != 6:  # noqa: PLR2004 - three 16-bit values
        raise RejectImage(Reason.BAD_HEADER, "The descriptor of a lookup table does not have three values.")
    entries, first, bits = (int(value) for value in elements.unpack(raw, "H"))
    written = elements.get(tag)
    if written is not None and (written[0] == b"SS" or (signed and written[0] != b"US")):
        first = int(elements.unpack(raw[2:4], "h")[0])
    if not 1 <= bits <= 16:  # noqa: PLR2004 - PS3.3 C.11.2.1.1
        raise RejectImage(Reason.BAD_HEADER, "The entries of a lookup table have an invalid number of bits.")
    return entries or _MAX_ENTRIES, first, bits


def lut_entries(elements: Elements, tag: int, entries: int) -> Array:
    """Return LUT data of 8 or 16 bits per entry as uint16 of shape (entries,); shorter if data are missing."""
    raw = elements.raw(tag)
    if len(raw) < 2 * entries:  # 8-bit entries, two per word; one more may make the length even.
        return np.frombuffer(raw, np.uint8)[:entries].astype(np.uint16)
    order = "<" if elements.encoding.little else ">"
    return np.frombuffer(raw, f"{order}u2")[:entries].astype(np.uint16)


def _expand(elements: Elements, tag: int, entries: int, bits: int) -> Array:
    """Expand discrete, linear and indirect segments (PS3.3 C.7.9.2)."""
    words = [int(word) for word in elements.unpack(elements.raw(tag), "H" if bits > _BYTE_BITS else "B")]
    try:
        values = _segments(words, 0, None, entries, wide=bits > _BYTE_BITS)
    except (IndexError, ValueError, struct.error):
        raise RejectImage(Reason.BAD_HEADER, "The segmented colour palette is invalid.") from None
    return np.array(values[:entries], np.uint16)


def _segments(
    words: list[int], position: int, count: int | None, entries: int, *, wide: bool, before: int = 0
) -> list[int]:
    values: list[int] = []
    done = 0
    while position < len(words) and len(values) < entries and done != count:
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
            at = position + 2
            offset = words[at] | words[at + 1] << 16 if wide else int.from_bytes(bytes(words[at : at + 4]), "little")
            last = values[-1] if values else before
            values += _segments(words, offset, length, entries, wide=wide, before=last)
            position += 4 if wide else 6
        else:
            raise ValueError(kind)
        done += 1
    return values
