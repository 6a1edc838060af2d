"""The end of a sequence by the lengths of its items, tried at each boundary."""

import struct

import pytest

from imaging.item_lengths import items_end, last_item
from imaging.walk import UNDEFINED

BEFORE = b"\x00\x00\x00\x00"
"""The sequence begins at 4, so that no position is right by chance."""
ITEM, ITEM_END, SEQUENCE_END, OTHER = 0xE000, 0xE00D, 0xE0DD, 0x0100


def header(number: int, length: int, *, little: bool = True, group: int = 0xFFFE) -> bytes:
    """Return tag and length of an item, a delimiter or another element."""
    return struct.pack("<HHI" if little else ">HHI", group, number, length)


def end_of(data: bytes, said_end: int, *, end: int | None = None) -> int | None:
    """Return the end of the items of a little endian sequence that begins at 4."""
    return items_end(BEFORE + data, 4, said_end, 4 + len(data) if end is None else end, little=True)


ONE_ITEM = header(ITEM, 6) + b"abcdef"
"""Its header is at 4, its content at 12, its end at 18."""


@pytest.mark.parametrize(("said_end", "expected"), [(5, 18), (12, 18), (17, 18), (18, None), (19, None)])
def test_the_item_ends_behind_the_said_end(said_end: int, expected: int | None) -> None:
    """Only an end within the item contradicts its length."""
    assert end_of(ONE_ITEM, said_end) == expected
    assert end_of(ONE_ITEM + header(0x0010, 2, group=0x0010) + b"ab", said_end) == expected


@pytest.mark.parametrize("little", [True, False])
def test_items_have_the_byte_order_of_their_data_set(little: bool) -> None:
    """The first item has 2 bytes and ends at 14, the second one has 258 and ends at 280."""
    data = BEFORE + header(ITEM, 2, little=little) + b"ab" + header(ITEM, 258, little=little) + bytes(258)

    assert items_end(data, 4, 20, len(data), little=little) == 280
    assert items_end(data, 4, 280, len(data), little=little) is None
    assert last_item(data, 4, len(data), little=little) == 22


@pytest.mark.parametrize(("end", "expected"), [(25, None), (26, UNDEFINED), (60, UNDEFINED)])
def test_another_item_at_the_said_end_leaves_the_end_open(end: int, expected: int | None) -> None:
    """Its header from 18 to 26 must be there completely."""
    assert end_of(ONE_ITEM + header(ITEM, 2) + bytes(34), 18, end=end) == expected


@pytest.mark.parametrize("number", [ITEM_END, SEQUENCE_END, OTHER])
def test_anything_else_at_the_said_end_fits(number: int) -> None:
    """A delimiter belongs to the sequence, and another element does not."""
    assert end_of(ONE_ITEM + header(number, 0), 18) is None


@pytest.mark.parametrize(("said_end", "expected"), [(4, UNDEFINED), (11, UNDEFINED), (12, UNDEFINED), (13, None)])
def test_an_item_of_undefined_length_may_begin_at_the_said_end(said_end: int, expected: int | None) -> None:
    """If the said end is behind its header, the item may end there."""
    assert end_of(header(ITEM, UNDEFINED) + bytes(20), said_end) == expected


@pytest.mark.parametrize("number", [ITEM_END, SEQUENCE_END])
@pytest.mark.parametrize(("said_end", "expected"), [(13, 14), (20, 22), (22, UNDEFINED), (25, 36), (36, None)])
def test_delimiters_between_items_are_passed(number: int, said_end: int, expected: int | None) -> None:
    """An item from 4 to 14, a delimiter from 14 to 22, and an item from 22 to 36."""
    data = header(ITEM, 2) + b"ab" + header(number, 0) + header(ITEM, 6) + b"abcdef"
    assert end_of(data, said_end) == expected


@pytest.mark.parametrize("group", [0xFFFE, 0x0008])
def test_other_elements_end_the_search(group: int) -> None:
    """The length of an element is not that of an item; an item has its own group."""
    number = OTHER if group == 0xFFFE else ITEM
    assert end_of(header(number, 6, group=group) + b"abcdef", 10) is None


def test_the_last_item_of_several() -> None:
    """Items of 2, 4 and 0 bytes have their content at 8, 18 and 30."""
    data = header(ITEM, 2) + b"ab" + header(ITEM, 4) + b"abcd" + header(ITEM, 0)

    assert [last_item(data, 0, end, little=True) for end in (9, 10, 17, 18, 29, 30, 31)] == [8, 8, 8, 18, 18, 30, 30]
    assert last_item(data, 10, len(data), little=True) == 30


def test_an_item_of_undefined_length_is_the_last_one() -> None:
    """Its end is not known without its elements."""
    data = header(ITEM, 2) + b"ab" + header(ITEM, UNDEFINED) + header(ITEM, 2) + b"ab"
    assert last_item(data, 0, len(data), little=True) == 18


def test_a_sequence_without_an_item_begins_with_its_elements() -> None:
    """The header of an item does not fit."""
    assert last_item(bytes(20), 9, 16, little=True) == 9
