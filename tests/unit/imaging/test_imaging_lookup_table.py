"""Lookup tables: descriptor, first value and bits of the entries, at each boundary (PS3.3 C.11.1.1, C.11.2.1.1)."""

import struct

import numpy as np
import pytest
from explicit_elements import data_set, element, numbers

from imaging.array import Array
from imaging.elements import Elements
from imaging.lookup_table import (
    Descriptor,
    ValueRange,
    bits_reached,
    first_mapped,
    fitted_entries,
    guessed_descriptor,
    low_bytes,
    packed_bytes,
    read_descriptor,
    read_entries,
    read_table,
)
from nightread.errors import RejectImage
from nightread.reasons import Reason

DESCRIPTOR, DATA = 0x00283002, 0x00283006
UNSIGNED, SIGNED, TWELVE_BITS = ValueRange(0, 65535), ValueRange(-32768, 32767), ValueRange(0, 4095)


def u2(*values: int) -> Array:
    """Return 16-bit entries."""
    return np.array(values, np.uint16)


def data_of(raw: bytes, vr: str = "OW", *, little: bool = True) -> Elements:
    """Return an item with these bytes as LUT Data; bytes of odd length are at the end of the file."""
    header = element(DATA, vr, length=len(raw), little=little)
    return data_set(header, raw, little=little)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (data_set(), None),
        (data_set(element(DESCRIPTOR, "US")), None),
        (data_set(numbers(DESCRIPTOR, 256, 5, 12)), Descriptor(256, 5, 12, b"US")),
        (data_set(numbers(DESCRIPTOR, 256, -2, 12, vr="SS")), Descriptor(256, 65534, 12, b"SS")),
        (data_set(numbers(DESCRIPTOR, 256, 5, 12, little=False), little=False), Descriptor(256, 5, 12, b"US")),
        (data_set(numbers(DESCRIPTOR, 0, 0, 16)), Descriptor(65536, 0, 16, b"US")),
        (data_set(numbers(DESCRIPTOR, 1, 0, 1)), Descriptor(1, 0, 1, b"US")),
        (data_set(numbers(DESCRIPTOR, 1, 0, 0)), Descriptor(1, 0, 16, b"US")),
        (data_set(numbers(DESCRIPTOR, 1, 0, 17)), Descriptor(1, 0, 16, b"US")),
    ],
    ids=["absent", "empty", "US", "SS", "big endian", "65,536 entries", "1 bit", "0 bits", "17 bits"],
)
def test_the_descriptor(elements: Elements, expected: Descriptor | None) -> None:
    """Zero entries are 65,536; bits that are none are taken for 16."""
    assert read_descriptor(elements, DESCRIPTOR) == expected


@pytest.mark.parametrize("values", [(256, 5), (256, 5, 12, 0)])
def test_a_descriptor_has_three_values(values: tuple[int, ...]) -> None:
    """The detail has the tag."""
    with pytest.raises(RejectImage) as refusal:
        read_descriptor(data_set(numbers(DESCRIPTOR, *values)), DESCRIPTOR)
    detail = "LUTDescriptor (0028,3002) of a lookup table does not have three values."
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, detail)


@pytest.mark.parametrize(
    ("size", "bits", "expected"),
    [(256, 8, (256, 8)), (4, 2, (4, 8)), (255, 8, (127, 16)), (258, 8, (129, 16)), (1, 8, (1, 16)), (4, 8, (2, 16))],
)
def test_a_table_without_descriptor(size: int, bits: int, expected: tuple[int, int]) -> None:
    """One byte for each stored value, else words; there is at least one."""
    assert guessed_descriptor(size, bits) == Descriptor(expected[0], 0, expected[1])


@pytest.mark.parametrize(
    ("first", "entries", "vr", "inputs", "expected"),
    [
        (32767, 4, b"SS", SIGNED, 32767),
        (32768, 4, b"US", UNSIGNED, 32768),
        (32768, 4, b"US", SIGNED, -32768),
        (65535, 4, b"US", ValueRange(-1, 65535), -1),
        (65535, 4, b"US", UNSIGNED, 65535),
        (65534, 4, b"SS", UNSIGNED, -2),
        (65532, 4, b"SS", UNSIGNED, 65532),
        (65532, 5, b"SS", UNSIGNED, -4),
        (65534, 4, b"US", TWELVE_BITS, -2),
        (65534, 2, b"US", TWELVE_BITS, 65534),
        (65534, 3, b"US", TWELVE_BITS, -2),
        (65534, 4, b"US", ValueRange(0, 65534), 65534),
        (65534, 4, b"US", ValueRange(0, 65533), -2),
        (65000, 4, b"SS", ValueRange(0, 100), -536),
        (65000, 4, b"US", ValueRange(-100, 65535), 65000),
    ],
)
def test_the_sign_of_the_first_mapped_value(
    first: int, entries: int, vr: bytes, inputs: ValueRange, expected: int
) -> None:
    """Negative inputs or SS make it negative, unless only the other reading meets the inputs."""
    assert first_mapped(Descriptor(entries, first, 16, vr), inputs) == expected


@pytest.mark.parametrize(
    ("entries", "bits", "raw", "expected"),
    [
        (4, 8, bytes([1, 0, 2, 0, 3, 0, 4, 0]), ([1, 2, 3, 4], False)),
        (4, 8, bytes([1, 2, 3, 4, 5, 6]), ([1, 2, 3, 4], True)),
        (4, 8, bytes([1, 2]), ([1, 2], True)),
        (4, 9, bytes([1, 2, 3, 4, 5, 6]), ([513, 1027, 1541], False)),
        (4, 9, bytes([1, 2, 3, 4]), ([1, 2, 3, 4], True)),
        (3, 9, bytes([1, 2, 3, 4]), ([1, 2, 3], True)),
        (2, 9, bytes([1, 2, 3, 4]), ([513, 1027], False)),
        (5, 9, bytes([1, 2, 3, 4]), ([513, 1027], False)),
        (1, 16, bytes([1, 2]), ([513], False)),
        (2, 16, bytes([1, 2, 3, 4, 5, 6, 7, 8]), ([513, 1027], False)),
        (9, 16, bytes([1, 2, 3, 4, 5]), ([513, 1027], False)),
    ],
)
def test_entries_are_words_unless_there_are_too_few_bytes(
    entries: int, bits: int, raw: bytes, expected: tuple[list[int], bool]
) -> None:
    """Fewer bytes than words take are packed if 8 bits are said, or if there are just as many as entries."""
    values, in_bytes = read_entries(data_of(raw), DATA, Descriptor(entries, 0, bits))
    assert (values.tolist(), in_bytes) == expected
    assert values.dtype == np.uint16


def test_entries_of_big_endian_files() -> None:
    """Words have the byte order of the file, and the first of two packed entries is the low byte of its word."""
    big = data_of(bytes([1, 2, 3, 4]), little=False)
    assert read_entries(big, DATA, Descriptor(2, 0, 16))[0].tolist() == [258, 772]
    assert packed_bytes(big, DATA).tolist() == [2, 1, 4, 3]
    assert packed_bytes(data_of(bytes([1, 2, 3, 4]), "OB", little=False), DATA).tolist() == [1, 2, 3, 4]
    assert packed_bytes(data_of(bytes([1, 2, 3]), "UN", little=False), DATA).tolist() == [1, 2, 3]
    assert packed_bytes(data_of(bytes([1, 2, 3, 4])), DATA).tolist() == [1, 2, 3, 4]


def table_of(raw: bytes, entries: int, bits: int) -> tuple[list[int], int]:
    """Return the entries of a table, and the declared bits."""
    values, said = read_table(data_of(raw), DATA, Descriptor(entries, 0, bits))
    return values.tolist(), said


def test_the_bits_of_packed_entries() -> None:
    """A byte has at most 8 of them."""
    packed = bytes([1, 2, 3, 4])
    assert table_of(packed, 4, 6) == ([1, 2, 3, 4], 6)
    assert table_of(packed, 4, 8) == ([1, 2, 3, 4], 8)
    assert table_of(packed, 4, 9) == ([1, 2, 3, 4], 8)
    assert table_of(packed, 4, 16) == ([1, 2, 3, 4], 8)


def test_words_with_an_empty_byte_hold_8_bits_only_if_these_are_said() -> None:
    """0x0100 and 0x0200 are 1 and 2 as entries of 8 bits, and 256 and 512 as those of 9."""
    raw = struct.pack("<2H", 256, 512)
    assert table_of(raw, 2, 8) == ([1, 2], 8)
    assert table_of(raw, 2, 9) == ([256, 512], 9)


HIGH, LOW = bytes([200, 0]), bytes([200, 200])
"""The words 200 and 51,400: one byte of the former is far away from the other."""


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"".join(bytes([200, high]) for high in range(10)), True),
        (HIGH * 4, False),
        (HIGH * 5, True),
        (HIGH * 5 + LOW + HIGH * 7 + LOW, False),
        (HIGH * 5 + LOW + HIGH * 8 + LOW, True),
        (bytes(range(0, 100, 5)), False),
        (bytes(20), False),
        (HIGH * 10 + b"\x01", False),
    ],
    ids=["rising words", "7 steps", "9 steps", "24 steps, words 3", "26 steps, words 3", "rising", "flat", "odd"],
)
def test_half_of_a_table_of_words(raw: bytes, words: bool) -> None:
    """There are as many bytes as entries. More than 8 times as many abrupt steps as those of the words mean words."""
    values, said = table_of(raw, len(raw), 16)
    expected = [low + 256 * high for low, high in zip(raw[::2], raw[1::2], strict=True)] if words else [*raw]
    assert (values, said) == (expected, 16 if words else 8)
    assert table_of(raw, len(raw), 8) == ([*raw], 8)
    assert table_of(struct.pack(f"<{len(raw)}H", *raw), len(raw), 16) == ([*raw], 16)


@pytest.mark.parametrize(
    ("values", "said", "bits", "fault"),
    [
        ((0, 4095), 12, 12, ""),
        ((0, 100), 12, 12, ""),
        ((0, 100), 16, 8, ""),
        ((0, 256), 16, 9, ""),
        ((0, 65535), 16, 16, ""),
        ((0, 300), 8, 9, ""),
        ((0, 4095), 9, 12, "has entries of 12 bits, but 9 were declared: 12 were used."),
        ((0, 4097), 12, 13, "has entries of 13 bits, but 12 were declared: 13 were used."),
        ((4095, *[0] * 48), 9, 12, "has entries of 12 bits, but 9 were declared: 12 were used."),
        ((4095, 4095, *[0] * 97), 9, 12, "has entries of 12 bits, but 9 were declared: 12 were used."),
    ],
)
def test_the_bits_that_the_entries_use(values: tuple[int, ...], said: int, bits: int, fault: str) -> None:
    """The said bits, unless many entries have more; nothing is clipped here."""
    found = fitted_entries(u2(*values), said)
    assert (found.values.tolist(), found.bits, found.fault) == ([*values], bits, fault)


@pytest.mark.parametrize(
    ("values", "said", "expected", "beyond"),
    [
        ((0, 4096, 4096), 12, (0, 4095, 4095), 2),
        ((0, 512), 9, (0, 511), 1),
        ((4095, *[7] * 49), 9, (511, *[7] * 49), 1),
        ((512, 4095, *[511] * 98), 9, (*[511] * 100,), 2),
    ],
)
def test_few_entries_beyond_the_said_bits_are_clipped(
    values: tuple[int, ...], said: int, expected: tuple[int, ...], beyond: int
) -> None:
    """One in fifty, or any number that are one too high."""
    found = fitted_entries(u2(*values), said)
    fault = f"has {beyond} entries of more than {said} bits: clipped."
    assert (found.values.tolist(), found.bits, found.fault) == ([*expected], said, fault)


@pytest.mark.parametrize(
    ("largest", "said", "expected"),
    [(0, 16, 8), (255, 16, 8), (256, 16, 9), (65535, 16, 16), (1, 15, 15), (32768, 15, 16), (1, 1, 1), (2, 1, 2)],
)
def test_the_bits_that_the_largest_entry_needs(largest: int, said: int, expected: int) -> None:
    """16 may be the size of the storage, but at least 8 bits are displayed."""
    assert bits_reached(largest, said) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 255), (1, 255)),
        ((0, 0x0100, 0xFF00), (0, 1, 255)),
        ((0, 0x0101, 0xFFFF), (0, 1, 255)),
        ((0x0101, 0xFFFE), (0x0101, 0xFFFE)),
        ((0x0001, 0x0100), (0x0001, 0x0100)),
        ((0, 0), (0, 0)),
    ],
)
def test_8_bit_entries_in_either_byte_of_a_word(values: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Words with other high than low bytes have more than 8 bits."""
    assert low_bytes(u2(*values)).tolist() == [*expected]
