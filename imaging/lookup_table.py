"""Read lookup tables: descriptor and entries (PS3.3 C.7.6.3.1.5, C.11.1.1, C.11.2.1).

The descriptor declares the bits of an entry. Many writers declare the size of the storage instead, and others store
entries in more bits than they declare. Therefore the length of the data and the largest entry decide.
"""

from typing import NamedTuple

import numpy as np

from imaging.array import Array
from imaging.elements import Elements
from imaging.tags import tag_name
from nightread.errors import RejectImage
from nightread.reasons import Reason

BYTE_BITS, WORD_BITS = 8, 16
_DESCRIPTOR_BYTES = 6
_MOST_ENTRIES = 1 << 16
_SIGN = 1 << 15
_MANY_STEPS = 8
_FEW = 50
"""If at most one in 50 entries needs more than the declared bits, the declaration is right and these entries are
errors."""


class Descriptor(NamedTuple):
    """The three values of a lookup table descriptor, with the VR of the element."""

    entries: int
    first: int
    """The first mapped value as an unsigned 16-bit number; `first_mapped` decides its sign."""
    bits: int
    """Declared bits of an entry: 1 to 16."""
    vr: bytes = b""


class ValueRange(NamedTuple):
    """The lowest and highest possible input of a lookup table."""

    low: float
    high: float


def read_descriptor(elements: Elements, tag: int) -> Descriptor | None:
    """Return the descriptor; None if it is absent or empty. Raises RejectImage(BAD_HEADER) for another length."""
    raw = elements.raw(tag)
    if not raw:
        return None
    if len(raw) != _DESCRIPTOR_BYTES:
        raise RejectImage(Reason.BAD_HEADER, f"{tag_name(tag)} of a lookup table does not have three values.")
    entries, first, bits = (int(value) for value in elements.unpack(raw, "H"))
    vr = (elements.get(tag) or (b"",))[0]
    return Descriptor(entries or _MOST_ENTRIES, first, bits if 1 <= bits <= WORD_BITS else WORD_BITS, vr)


def guessed_descriptor(data_bytes: int, stored_bits: int) -> Descriptor:
    """Guess a missing descriptor: entries of 8 bits if the data have one byte per stored value, else of 16 bits."""
    if data_bytes == 1 << stored_bits:
        return Descriptor(data_bytes, 0, BYTE_BITS)
    return Descriptor(max(data_bytes // 2, 1), 0, WORD_BITS)


def first_mapped(descriptor: Descriptor, inputs: ValueRange) -> int:
    """Return the first mapped value. Its VR and the inputs decide whether its 16 bits are signed.

    The VR is not enough: gateways that convert between implicit and explicit VR write US for negative numbers. If one
    sign puts all inputs outside of the table and the other does not, the other sign is used.
    """
    if descriptor.first < _SIGN:
        return descriptor.first
    unsigned, signed = descriptor.first, descriptor.first - 2 * _SIGN
    first, other = (signed, unsigned) if inputs.low < 0 or descriptor.vr == b"SS" else (unsigned, signed)
    return other if _meets(other, descriptor, inputs) and not _meets(first, descriptor, inputs) else first


def _meets(first: int, descriptor: Descriptor, inputs: ValueRange) -> bool:
    return first <= inputs.high and first + descriptor.entries > inputs.low


def read_entries(elements: Elements, tag: int, descriptor: Descriptor) -> tuple[Array, bool]:
    """Return the entries as uint16, and whether each was stored in one byte. Entries without data are left out."""
    raw, entries, bits = elements.raw(tag), descriptor.entries, descriptor.bits
    if len(raw) < 2 * entries and (bits <= BYTE_BITS or len(raw) in (entries, entries + 1)):
        return packed_bytes(elements, tag)[:entries].astype(np.uint16), True
    order = "<" if elements.encoding.little else ">"
    return np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2")[:entries].astype(np.uint16), False


def read_table(elements: Elements, tag: int, descriptor: Descriptor) -> tuple[Array, int]:
    """Return the entries of a grey lookup table as uint16, and the declared bits of an entry.

    A table of words that was cut to half its length is not mistaken for a table of bytes.
    """
    values, in_bytes = read_entries(elements, tag, descriptor)
    if in_bytes and descriptor.bits > BYTE_BITS and _is_half_of_words(values):
        return values[::2] | values[1::2] << BYTE_BITS, descriptor.bits
    if in_bytes:
        return values, min(descriptor.bits, BYTE_BITS)
    return low_bytes(values) if descriptor.bits <= BYTE_BITS else values, descriptor.bits


def _is_half_of_words(values: Array) -> bool:
    """Return whether the bytes are really the halves of words.

    If they are, the curve has many abrupt steps when it is read as bytes, and few when it is read as words.
    """
    if len(values) % 2:
        return False
    words = values[::2] | values[1::2] << BYTE_BITS
    return _variation(values) > _MANY_STEPS and _MANY_STEPS * _variation(words) < _variation(values)


def _variation(values: Array) -> float:
    """Return the sum of all steps of a curve, up and down, divided by its range: 1 for a curve that only rises."""
    steps, span = np.abs(np.diff(values.astype(np.int64))), int(np.ptp(values))
    return float(steps.sum() / span) if span else 0.0


class Fitting(NamedTuple):
    """Entries of a lookup table, and the number of bits that they can use."""

    values: Array
    bits: int
    fault: str = ""
    """What was wrong, as the end of a sentence that begins with the name of the table."""


def fitted_entries(values: Array, said: int) -> Fitting:
    """Return the entries, and how many bits they use: as many as declared (`said`), unless many entries need more.

    If only a few need more, or the largest is one too high (scaled to 4096 instead of 4095), they are clipped.
    """
    largest = int(values.max())
    bits, top = bits_reached(largest, said), (1 << said) - 1
    if bits <= said:
        return Fitting(values, bits)
    beyond = int(np.count_nonzero(values > top))
    if largest == top + 1 or beyond * _FEW <= len(values):
        return Fitting(np.minimum(values, top), said, f"has {beyond:,} entries of more than {said} bits: clipped.")
    fault = "" if said <= BYTE_BITS else f"has entries of {bits} bits, but {said} were declared: {bits} were used."
    return Fitting(values, bits, fault)


def packed_bytes(elements: Elements, tag: int) -> Array:
    """Return data of one byte per entry as uint8: two entries per word, the first one in its low byte."""
    raw = elements.raw(tag)
    values = np.frombuffer(raw, np.uint8)
    if not elements.encoding.little and (elements.get(tag) or (b"",))[0] != b"OB" and len(raw) % 2 == 0:
        return values.reshape(-1, 2)[:, ::-1].reshape(-1)
    return values


def bits_reached(largest: int, said: int) -> int:
    """Return the bits that the entries use: the declared bits (`said`), or those of the largest entry if it needs more.

    A declaration of 16 bits is ignored, because it is often only the size of the storage: the result is then the bits
    of the largest entry, but at least 8.
    """
    needed = largest.bit_length()
    if said == WORD_BITS:
        return max(needed, BYTE_BITS)
    return max(needed, said)


def low_bytes(values: Array) -> Array:
    """Return 8-bit entries that were stored in words: in the low byte, in the high byte, or in both.

    Returns the words unchanged if they hold more than 8 bits.
    """
    low, high = values & 0xFF, values >> BYTE_BITS
    if not high.any():
        return values
    if not low.any():
        return high
    return low if np.array_equal(low, high) else values
