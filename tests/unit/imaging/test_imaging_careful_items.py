"""Sequences with wrong lengths or delimiters in the careful walk, and the pixel data behind them."""

import struct

import pytest
from test_imaging_elements import implicit, long, short
from walks import (
    CT,
    FIVE,
    IMPLICIT,
    ITEM_END,
    MODALITY,
    OPEN,
    OPEN_ITEM,
    PIXELS,
    ROWS,
    SEQUENCE,
    SEQUENCE_END,
    failure,
    header,
    item,
    reading,
    walked,
)

from imaging.walk import Encoding, HeaderError

BIG = Encoding(implicit=False, little=False)
CODE = short(0x00181000, "LO", b"ab")
"""An element of ten bytes with a tag above that of the sequence."""


def sequence(content: bytes, *, length: int = OPEN, vr: str = "SQ") -> bytes:
    """Return a sequence with this length."""
    return long(SEQUENCE, vr, content, length=length)


@pytest.mark.parametrize(
    ("items", "behind"),
    [
        (SEQUENCE_END, 20),
        (item(CODE) + SEQUENCE_END, 38),
        (item(CODE) * 2 + SEQUENCE_END, 56),
        (item(b"") + SEQUENCE_END, 28),
        (item(CODE), 30),
        (item(CODE) + ITEM_END, 38),
        (item(CODE) + ITEM_END + item(CODE) + SEQUENCE_END, 64),
        (OPEN_ITEM + CODE + ITEM_END + SEQUENCE_END, 46),
        (OPEN_ITEM + CODE + SEQUENCE_END, 38),
        (OPEN_ITEM + CODE + item(CODE) + SEQUENCE_END, 56),
        (OPEN_ITEM + CODE + ITEM_END + ITEM_END, 46),
        (item(CODE, length=4) + ITEM_END + SEQUENCE_END, 46),
        (item(CODE, length=4) + SEQUENCE_END, 38),
        (item(CODE, length=400) + SEQUENCE_END, 38),
        (item(CODE, length=29) + SEQUENCE_END, 38),
        (item(CODE) + implicit(0xFFFEE00D, b"", length=4), 38),
    ],
)
@pytest.mark.parametrize("depth", [0, 1])
def test_the_end_of_a_sequence_is_found(items: bytes, behind: int, depth: int) -> None:
    """With missing, additional and wrong delimiters, and with lengths of items that do not fit; also within an item."""
    found, position = walked(sequence(items) + FIVE, depth=depth)
    assert found == {SEQUENCE: (b"SQ", 12, OPEN), ROWS: (b"US", behind + 8, 2)}
    assert position == behind + 10


@pytest.mark.parametrize("items", [SEQUENCE_END, item(CODE) + SEQUENCE_END, OPEN_ITEM + CODE + ITEM_END + SEQUENCE_END])
def test_the_delimiter_of_a_sequence_may_end_the_file(items: bytes) -> None:
    """Nothing has to follow."""
    assert walked(sequence(items)) == ({SEQUENCE: (b"SQ", 12, OPEN)}, 12 + len(items))


@pytest.mark.parametrize("left", [b"", b"1234567"])
def test_an_item_may_end_with_the_file(left: bytes) -> None:
    """The delimiter of its sequence is missing, and up to seven bytes follow."""
    data = sequence(item(CODE)) + left
    message = "The file ends within the sequence ContrastBolusAgentSequence (0018,0012), value at offset 12."
    assert failure(data)[1] == message
    assert walked(data + FIVE, end=len(data), depth=1) == ({SEQUENCE: (b"SQ", 12, OPEN)}, len(data))


def test_an_item_that_ends_with_its_owner_is_not_read() -> None:
    """Its content may be anything. One that is too short is read: eight bytes behind it are no element."""
    cut = sequence(item(CODE, length=2))
    assert walked(cut + FIVE, end=len(cut), depth=1) == ({SEQUENCE: (b"SQ", 12, OPEN)}, len(cut))
    data = sequence(item(b"\xff" * 9))
    assert walked(data + FIVE, end=len(data), depth=1) == ({SEQUENCE: (b"SQ", 12, OPEN)}, len(data))


def test_an_item_is_followed_by_an_element_of_any_tag() -> None:
    """A missing delimiter of the sequence, and a private element or a lower one behind it."""
    for behind in (short(0x00191001, "LO", b"ab"), short(0x00091001, "LO", b"ab"), CT):
        assert len(walked(sequence(item(CODE)) + behind)[0]) == 2
    # Behind an item of length 2 is nothing known, so that its elements are read up to the delimiter.
    found, position = walked(sequence(item(CODE, length=2) + ITEM_END + SEQUENCE_END) + FIVE)
    assert (list(found), position) == ([SEQUENCE, ROWS], 56)


def test_items_of_big_endian_and_of_implicit_sequences() -> None:
    """Tags and lengths have the byte order of the data set; items of VR UN have implicit VR."""
    code = short(0x00181000, "LO", b"ab", order=">")
    marks = [struct.pack(">HHI", 0xFFFE, number, 0) for number in (0xE00D, 0xE0DD)]
    open_item = struct.pack(">HHI", 0xFFFE, 0xE000, OPEN)
    data = long(SEQUENCE, "SQ", open_item + code + b"".join(marks), length=OPEN, order=">")
    five = short(ROWS, "US", b"\x00\x05", order=">")
    assert walked(data + five, BIG)[0] == {SEQUENCE: (b"SQ", 12, OPEN), ROWS: (b"US", 54, 2)}
    bare = implicit(0x00181000, b"ab")
    unknown = sequence(OPEN_ITEM + bare + ITEM_END + SEQUENCE_END, vr="UN")
    assert walked(unknown + FIVE)[0] == {SEQUENCE: (b"UN", 12, OPEN), ROWS: (b"US", 54, 2)}
    without = implicit(SEQUENCE, OPEN_ITEM + bare + ITEM_END + SEQUENCE_END, length=OPEN)
    assert walked(without + implicit(ROWS, b"ab"), IMPLICIT)[0] == {SEQUENCE: (b"", 8, OPEN), ROWS: (b"", 50, 2)}


@pytest.mark.parametrize(
    ("behind", "cut"),
    [
        (FIVE, True),
        (b"", True),
        (bytes(5), True),
        (bytes(8) + FIVE, False),
        (bytes(100), True),
        (item(CODE) + FIVE, True),
        (CT, False),
        (short(SEQUENCE, "LO", b"ab"), False),
        (short(0x00180013, "LO", b"ab"), True),
        (header(MODALITY, b"CS", 0), False),
        (b"1234567", False),
        (b"12345678" * 2, False),
    ],
    ids=repr,
)
def test_a_length_that_is_too_small_is_replaced_if_something_fits_behind_the_item(behind: bytes, cut: bool) -> None:
    """A higher element, 64 zeros, the end, or another item. An element follows behind the said length as well."""
    data = sequence(item(CODE), length=8) + behind
    assert reading(data, SEQUENCE) == (b"SQ", 12, OPEN if cut else 8)
    if behind in (FIVE, item(CODE) + FIVE):
        assert walked(data)[0] == {SEQUENCE: (b"SQ", 12, OPEN), ROWS: (b"US", len(data) - 2, 2)}


def test_a_length_that_ends_before_an_item_is_too_small() -> None:
    """Another item follows, or the elements of an open one."""
    assert reading(sequence(item(CODE) * 2, length=18) + FIVE, SEQUENCE) == (b"SQ", 12, OPEN)
    opened = OPEN_ITEM + CODE + ITEM_END + SEQUENCE_END
    assert reading(sequence(opened, length=8) + FIVE, SEQUENCE) == (b"SQ", 12, OPEN)


def test_the_end_of_an_item_bounds_the_sequence_within_it() -> None:
    """Up to seven bytes behind the sequence are not looked at as an element."""
    data = sequence(item(CODE), length=8)
    for left in (b"", b"\x00" * 7):
        assert walked(data + left + FIVE, end=30 + len(left), depth=1)[0] == {SEQUENCE: (b"SQ", 12, OPEN)}
    assert walked(data + FIVE, end=40, depth=1)[0] == {SEQUENCE: (b"SQ", 12, OPEN), ROWS: (b"US", 38, 2)}


def test_a_last_item_that_is_too_long_replaces_no_length() -> None:
    """Its length reaches beyond the file."""
    assert reading(sequence(item(CODE, length=400), length=8) + FIVE, SEQUENCE) == (b"SQ", 12, 8)


@pytest.mark.parametrize("vr", ["SQ", "UN", "OB"])
def test_only_a_sequence_holds_items(vr: str) -> None:
    """The same bytes are the value of another VR."""
    bare = implicit(0x00181000, b"ab")
    data = sequence(item(bare), length=8, vr=vr) + (CODE if vr == "OB" else FIVE)
    expected = (b"OB", 12, 8) if vr == "OB" else (vr.encode(), 12, OPEN)
    assert reading(data, SEQUENCE) == expected


def test_a_value_of_vr_un_that_begins_with_no_item_keeps_its_length() -> None:
    """As an item it would be longer than it says."""
    value = b"\x08\x00\x60\x00\x09\x00\x00\x00"
    assert reading(sequence(value, length=8, vr="UN") + FIVE, SEQUENCE) == (b"UN", 12, 8)


def test_a_length_behind_which_an_item_lies_is_kept_if_the_value_begins_with_none() -> None:
    """It begins with the delimiter of an item."""
    head = header(SEQUENCE, b"SQ", 12) + b"\x08\0\0\0"
    assert reading(head + ITEM_END + item(CODE) + SEQUENCE_END + FIVE, SEQUENCE) == (b"SQ", 12, 8)


def test_sequences_without_vr_may_be_cut_too() -> None:
    """Implicit VR in the whole file, or an invalid VR."""
    data = implicit(SEQUENCE, item(implicit(0x00181000, b"ab")), length=8) + implicit(ROWS, b"ab")
    assert walked(data, IMPLICIT)[0] == {SEQUENCE: (b"", 8, OPEN), ROWS: (b"", 34, 2)}
    invalid = header(SEQUENCE, b"--", 8) + item(CODE) + FIVE
    assert walked(invalid)[0] == {SEQUENCE: (b"", 8, OPEN), ROWS: (b"US", 34, 2)}


def test_a_length_that_is_too_large_is_replaced() -> None:
    """No element follows behind the said end."""
    data = sequence(item(CODE), length=25) + FIVE + CT
    assert walked(data, depth=1)[0] == {
        SEQUENCE: (b"SQ", 12, OPEN), ROWS: (b"US", 38, 2), MODALITY: (b"CS", 48, 2),
    }  # fmt: skip
    assert reading(sequence(CODE, length=25) + FIVE + CT, SEQUENCE) != (b"SQ", 12, OPEN)


def test_needed_elements_behind_a_sequence_that_ends_too_early_are_an_error() -> None:
    """The last item of the sequence ends with a lower tag, so that it may go on."""
    first, rest = short(0x00080060, "CS", b"CT"), short(0x00080070, "LO", b"ab")
    data = sequence(item(first), length=18) + rest + FIVE
    message = (
        "Manufacturer (0008,0070) at offset 30 may belong to the sequence ContrastBolusAgentSequence (0018,0012) at "
        "offset 0, whose length seems to be too small."
    )
    assert failure(data) == (HeaderError, message)
    # The last item ends with a higher tag: the elements behind it are in another order, and belong to the data set.
    two_items = item(first) + item(short(0x00081030, "LO", b"ab"))
    assert list(walked(sequence(two_items, length=36) + rest + FIVE)[0]) == [SEQUENCE, 0x00080070, ROWS]
    order = item(short(0x00081030, "LO", b"ab") + first)
    assert list(walked(sequence(order, length=28) + rest + FIVE)[0]) == [SEQUENCE, 0x00080070, ROWS]
    assert failure(sequence(item(b""), length=8) + rest + FIVE)[1] == message.replace("offset 30", "offset 20")


def test_the_last_item_may_be_faulty() -> None:
    """Its tags count up to the fault, and a tag may be there twice."""
    first, rest = short(0x00080060, "CS", b"CT"), short(0x00080070, "LO", b"ab")
    high, cut = short(0x00081030, "LO", b"ab"), header(0x00081030, b"LO", 40) + b"ab"
    for content in (first + cut, first + short(0x00080060, "CS", b"MR") + high):
        data = sequence(item(content), length=8 + len(content)) + rest
        assert list(walked(data)[0]) == [SEQUENCE, 0x00080070]


def test_the_last_item_in_big_endian() -> None:
    """Its length has the byte order of the file."""
    first = short(0x00081030, "LO", b"ab", order=">")
    content = struct.pack(">HHI", 0xFFFE, 0xE000, len(first)) + first
    data = long(SEQUENCE, "SQ", content, order=">") + short(0x00080070, "LO", b"ab", order=">")
    assert list(walked(data, BIG)[0]) == [SEQUENCE, 0x00080070]


LARGE = 0x2D2D
"""The length of an element whose VR is written as two dashes, if its VR is taken for implicit."""


@pytest.mark.parametrize(
    ("head", "size", "expected"),
    [
        (header(PIXELS, b"OW", 0) + b"\x64\0\0\0", 50, (b"OW", 12, 100)),
        (header(PIXELS, b"OW", 40) + b"\x64\0\0\0", 50, (b"OW", 12, 100)),
        (header(PIXELS, b"OB", 0) + b"\xff" * 4, 50, (b"OB", 12, OPEN)),
        (header(PIXELS, b"--", 0) + b"\x64\0\0\0", 100, (b"", 12, 100)),
        (header(PIXELS, b"ow", 0) + b"\x64\0\0\0", 100, (b"OW", 12, 100)),
        (header(PIXELS, b"--", 0) + b"\x64\0\0\0", 102, (b"", 12, 100)),
        (header(PIXELS, b"--", 0) + b"\x64\0\0\0", 99, (b"", 8, 0)),
        (header(PIXELS, b"--", 4), 4, (b"", 8, 4)),
        (header(PIXELS, b"--", 4), 6, (b"", 8, 4)),
        (header(PIXELS, b"--", 0) + b"\xff" * 4, LARGE, (b"", 12, OPEN)),
        (header(PIXELS, b"--", 0) + struct.pack("<I", LARGE - 2), LARGE - 2, (b"", 12, LARGE - 2)),
        (header(PIXELS, b"--", 0) + struct.pack("<I", LARGE - 2), LARGE, (b"", 8, LARGE)),
        (implicit(PIXELS, b"", length=100), 100, (b"", 8, 100)),
        (header(PIXELS, b"--", 6), 2, (b"", 8, 0x62D2D)),
    ],
)
@pytest.mark.parametrize("before", [b"", CT])
def test_pixel_data_with_an_invalid_vr_end_with_the_file_or_are_the_longest_that_fit(
    head: bytes, size: int, expected: tuple[bytes, int, int], before: bytes
) -> None:
    """A valid VR is taken at its word. Where nothing fits, the file is cut."""
    vr, value, length = expected
    found, position = walked(before + head + b"\x01" * size)
    assert found[PIXELS] == (vr, value + len(before), length)
    assert position == value + len(before)


def test_implicit_pixel_data_are_taken_at_their_word() -> None:
    """Whatever their bytes could be as explicit VR."""
    assert walked(implicit(PIXELS, b"ab", length=100), IMPLICIT)[0] == {PIXELS: (b"", 8, 100)}
    as_explicit = header(PIXELS, b"OB", 0) + b"\x02\0\0\0ab"
    assert walked(as_explicit, IMPLICIT)[0] == {PIXELS: (b"", 8, 0x424F)}


@pytest.mark.parametrize(("vr", "length"), [(b"--", 2), (b"OW", 4)])
def test_pixel_data_of_an_item_are_read_like_other_elements(vr: bytes, length: int) -> None:
    """They end where the next element begins."""
    head = header(PIXELS, vr, 2) if vr == b"--" else header(PIXELS, vr, 0) + b"\x04\0\0\0"
    tail = short(0x7FE10010, "LO", b"ab")
    found, position = walked(head + b"\x01" * length + tail, depth=1)
    assert (found[PIXELS][2], list(found), position) == (length, [PIXELS, 0x7FE10010], len(head) + length + 10)


def test_pixel_data_of_an_item_are_not_the_longest_that_fit() -> None:
    """An element follows behind a length of zero."""
    data = header(PIXELS, b"--", 0) + long(0x7FE10010, "OB", bytes(LARGE + 50))
    assert walked(data, depth=1)[0][PIXELS] == (b"", 8, 0)
    assert walked(data)[0][PIXELS] == (b"", 8, LARGE)
