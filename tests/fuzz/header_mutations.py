"""Change elements of the data set: lengths, value representations and values that are invalid or extreme."""

import random
import struct

from fuzz.file_layout import ElementLayout, FileLayout
from imaging import tags
from imaging.codecs import CODECS

_LENGTHS = (0, 1, 2, 3, 5, 7, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFE, 0xFFFFFFFF)
_VRS = (b"SQ", b"UN", b"OB", b"OW", b"DS", b"IS", b"US", b"SS", b"LO", b"FD", b"UT", b"AT", b"\0\0", b"ZZ", b"us")
_BINARY = (0, 1, 2, 3, 7, 8, 9, 12, 16, 17, 31, 32, 33, 64, 255, 256, 4096, 32_767, 32_768, 65_534, 65_535)
_TEXTS = (
    *("0", "-0", "1", "-1", "3", ".5", "1e10", "1e39", "1e308", "-1e308", "1e400", "1e-308", "1e-40", "nan", "-inf"),
    *("65535", "100000", "2147483647", "2147483648", "4294967296"),
    *("1\\2", "\\", "\\\\1", "", " ", "1_0", "1,5", "9" * 300, "1" * 5000, "0\\" * 4000, "SIGMOID", "LINEAR_EXACT"),
    *("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_PARTIAL_420"),
    *("ISO 2022 IR 87", "\\ISO 2022 IR 149", "ISO_IR 192", "GB18030", "\x1b$B\x1b(B", "\x1b%G" * 50, "\0\0"),
)
_PIXEL_TAGS = frozenset(
    (
        *(tags.ROWS, tags.COLUMNS, tags.BITS_ALLOCATED, tags.BITS_STORED, tags.HIGH_BIT, tags.SAMPLES_PER_PIXEL),
        *(tags.NUMBER_OF_FRAMES, tags.PLANAR_CONFIGURATION, tags.PIXEL_REPRESENTATION, tags.PHOTOMETRIC_INTERPRETATION),
        *(tags.WINDOW_CENTER, tags.WINDOW_WIDTH, tags.RESCALE_SLOPE, tags.RESCALE_INTERCEPT, tags.VOI_LUT_FUNCTION),
        *(tags.PIXEL_PADDING_VALUE, tags.PIXEL_PADDING_RANGE_LIMIT, tags.LUT_DESCRIPTOR, tags.LUT_DATA),
        *(*tags.PALETTE_DESCRIPTORS, *tags.PALETTE_DATA, *tags.SEGMENTED_PALETTE_DATA, tags.SPECIFIC_CHARACTER_SET),
        *(tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE, tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, tags.VOI_LUT_SEQUENCE),
        *(tags.FRAME_VOI_LUT_SEQUENCE, tags.PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags.MODALITY_LUT_SEQUENCE),
        *(tags.EXTENDED_OFFSET_TABLE, tags.EXTENDED_OFFSET_TABLE_LENGTHS, *tags.PIXEL_DATA_TAGS),
    )
)
_SYNTAXES = (
    *CODECS,
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2",
)
_SEQUENCE_START = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
    "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
)


def change_length(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Change a length to zero, odd, huge or undefined, or by up to 9 bytes."""
    part = _part(layout, rng)
    length = rng.choice(_LENGTHS) if rng.random() < 0.7 else max(part.length + rng.randint(-9, 9), 0)
    written = part.written_length(length)
    body[part.length_at : part.length_at + len(written)] = written


def change_vr(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Change the VR of an element; in implicit VR this changes part of its length."""
    at = _part(layout, rng).start + 4
    body[at : at + 2] = rng.choice(_VRS)


def set_extreme_value(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Set an extreme value of the right type, and adjust the length."""
    part = _part(layout, rng)
    value = _extreme(bytes(body[part.value : part.end]), part, rng)
    body[part.value : part.end] = value
    written = part.written_length(len(value))
    body[part.length_at : part.length_at + len(written)] = written


def fill_value(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Replace up to 256 bytes of a value by noise."""
    part = _part(layout, rng)
    end = min(part.end, part.value + 256)
    body[part.value : end] = rng.randbytes(max(end - part.value, 0))


def delete_element(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Delete an element with its header."""
    part = _part(layout, rng)
    del body[part.start : part.end]


def repeat_element(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Insert up to a thousand copies of an element of less than 4 KiB."""
    part = _part(layout, rng)
    if part.end - part.start < 4096:
        body[part.start : part.start] = body[part.start : part.end] * rng.choice((1, 10, 1000))


def swap_elements(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Replace the tag of one element by that of another."""
    first, second = _part(layout, rng), _part(layout, rng)
    body[first.start : first.start + 4] = layout.body[second.start : second.start + 4]


def insert_nested_sequences(body: bytearray, layout: FileLayout, rng: random.Random) -> None:
    """Insert nested sequences, with all their end delimiters or without any."""
    depth = rng.choice((1, 5, 31, 32, 33, 1000))
    closed = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) * depth
    start = _part(layout, rng).start
    body[start:start] = _SEQUENCE_START * depth + (closed if rng.random() < 0.7 else b"")


def change_syntax(body: bytearray, _layout: FileLayout, rng: random.Random) -> None:
    """Change the transfer syntax without changing the pixels; the UID is cut or padded to the old length."""
    at = body.find(b"1.2.840.10008.1.2", 300 if len(body) > 300 else 0, 600)
    if at >= 2:
        length = int.from_bytes(body[at - 2 : at], "little")
        if 0 < length <= 64:
            body[at : at + length] = rng.choice(_SYNTAXES).encode()[:length].ljust(length, b"\0")


def _part(layout: FileLayout, rng: random.Random) -> ElementLayout:
    """Choose an element; 85 % of the time one that controls how the pixels are read."""
    if rng.random() < 0.85:
        deciding = [part for part in layout.parts if part.tag in _PIXEL_TAGS]
        if deciding:
            return rng.choice(deciding)
    return rng.choice(layout.parts)


def _extreme(value: bytes, part: ElementLayout, rng: random.Random) -> bytes:
    order = "<" if part.little else ">"
    if part.binary and 0 < len(value) <= 8 and len(value) % 2 == 0:
        words = struct.unpack(f"{order}{len(value) // 2}H", value)
        extreme = [rng.choice(_BINARY) if rng.random() < 0.6 else word for word in words]
        return struct.pack(f"{order}{len(words)}H", *extreme)
    if len(value) > 1024:
        return rng.choice((b"", value[: rng.randrange(len(value))], value + value))
    text = rng.choice(_TEXTS).encode()
    return text + b" " * (len(text) % 2)
