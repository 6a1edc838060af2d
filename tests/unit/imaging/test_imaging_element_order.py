"""Which elements of an irregular data set are foreign, judged by their order (PS3.5 section 7.1)."""

from collections.abc import Callable

import pytest

from imaging import tags
from imaging.element_order import NEEDED, ElementOrder
from imaging.walk import UNDEFINED, Element, HeaderError

SEQUENCE, LATER_SEQUENCE = 0x00400275, 0x00880200
ROWS, COLUMNS, MODALITY = 0x00280010, 0x00280011, 0x00080060
PRIVATE_LOW, HISTORY = 0x00091010, 0x001021B0
DATA = b"\xfe\xff\x00\xe0items...\xff\xfe\xe0\x00big.....no item.AB.AB.CD"
LITTLE, BIG, NO_ITEM, FIRST, SAME, OTHER = 0, 12, 24, 32, 35, 38
"""Positions in DATA of two items, of something else, and of values of two bytes."""


class Order:
    """Adds elements, and notes between which positions the last tag of a sequence was asked for."""

    def __init__(self, last_within: int = 0) -> None:
        self.found: dict[int, Element] = {}
        self.asked: list[tuple[int, int]] = []
        self._order = ElementOrder(DATA, self.found, self._last(last_within))

    def _last(self, tag: int) -> Callable[[int, int], int]:
        def last(start: int, end: int) -> int:
            self.asked.append((start, end))
            return tag

        return last

    def add(self, tag: int, position: int = FIRST, length: int = 2, vr: bytes = b"US") -> None:
        """Add an element whose header is eight bytes before its value."""
        self._order.add(tag, position - 8, (vr, position, length))

    def sequence(self, tag: int = SEQUENCE, position: int = LITTLE, length: int = 12, vr: bytes = b"SQ") -> None:
        """Add a sequence."""
        self.add(tag, position, length, vr)

    def refuses(self, tag: int, position: int = FIRST) -> str:
        """Return the message for an element that is not added."""
        with pytest.raises(HeaderError) as raised:
            self.add(tag, position)
        return str(raised.value)


FOREIGN = (
    "Rows (0028,0010) at offset 24 may belong to the sequence RequestAttributesSequence (0040,0275) at offset -8, "
    "whose length seems to be too small."
)


def test_the_needed_tags_are_those_that_nightread_reads() -> None:
    """Single tags and all tags of a group, as numbers."""
    assert all(isinstance(tag, int) for tag in NEEDED)
    assert {tags.ROWS, *tags.PALETTE_DATA, *tags.PIXEL_DATA_TAGS} <= NEEDED
    assert not {HISTORY, PRIVATE_LOW} & NEEDED


def test_elements_are_added_with_their_place() -> None:
    """In the order of the file, whatever their tags."""
    order = Order()
    order.add(ROWS, FIRST)
    order.add(MODALITY, OTHER, vr=b"CS")
    assert list(order.found.items()) == [(ROWS, (b"US", FIRST, 2)), (MODALITY, (b"CS", OTHER, 2))]


def test_a_needed_element_twice_must_have_the_same_value() -> None:
    """The first one stays; another value is an error."""
    order = Order()
    order.add(ROWS, FIRST)
    order.add(ROWS, SAME)
    assert order.found == {ROWS: (b"US", FIRST, 2)}
    assert order.refuses(ROWS, OTHER) == "Rows (0028,0010) at offset 30 is there a second time, with another value."
    order.add(ROWS, SAME, vr=b"SS")
    with pytest.raises(HeaderError):
        order.add(ROWS, SAME, 3)


def test_two_values_of_undefined_length_are_different() -> None:
    """They are not compared, but their positions."""
    order = Order()
    order.add(ROWS, FIRST, UNDEFINED)
    order.add(ROWS, FIRST, UNDEFINED)
    with pytest.raises(HeaderError):
        order.add(ROWS, SAME, UNDEFINED)


def test_an_element_that_nobody_reads_may_be_there_twice() -> None:
    """It changes no result."""
    order = Order()
    order.add(HISTORY, FIRST)
    order.add(HISTORY, OTHER)
    assert order.found == {HISTORY: (b"US", FIRST, 2)}


def test_a_lower_element_behind_a_sequence_may_belong_to_it() -> None:
    """The last item ends with a lower tag; the sequence is asked once, between its ends."""
    order = Order(last_within=MODALITY)
    order.sequence()
    assert order.refuses(ROWS) == FOREIGN
    assert order.refuses(ROWS) == FOREIGN
    assert order.asked == [(0, 12)]
    assert list(order.found) == [SEQUENCE]


@pytest.mark.parametrize(("last_within", "foreign"), [(0, True), (ROWS - 1, True), (ROWS, False), (COLUMNS, False)])
def test_an_item_continues_only_with_a_higher_tag(last_within: int, foreign: bool) -> None:
    """The tags of an item ascend as well."""
    order = Order(last_within)
    order.sequence()
    if foreign:
        assert order.refuses(ROWS) == FOREIGN
    else:
        order.add(ROWS)
        assert list(order.found) == [SEQUENCE, ROWS]


def test_a_higher_element_behind_a_sequence_belongs_to_the_data_set() -> None:
    """No question is necessary."""
    order = Order()
    order.sequence()
    order.add(tags.PIXEL_DATA)
    order.add(SEQUENCE + 1)
    assert order.asked == []


@pytest.mark.parametrize(("first_behind", "foreign"), [(PRIVATE_LOW, True), (MODALITY - 1, False), (SEQUENCE, False)])
def test_the_first_element_behind_the_sequence_decides(first_behind: int, foreign: bool) -> None:
    """Whether the last item, which ends with Modality, may go on with it; those behind it follow."""
    order = Order(last_within=MODALITY)
    order.sequence()
    order.add(first_behind, SAME)
    order.add(HISTORY, SAME)
    if foreign:
        assert order.refuses(ROWS) == FOREIGN
    else:
        order.add(ROWS)


def test_before_any_sequence_the_order_does_not_matter() -> None:
    """There is none that could be too short."""
    order = Order()
    for tag in (COLUMNS, ROWS, MODALITY):
        order.add(tag)
    assert order.asked == []


def test_only_a_higher_sequence_takes_the_place_of_one() -> None:
    """A lower one behind it may be foreign itself, and the same one is there twice."""
    order = Order(last_within=MODALITY)
    order.sequence(LATER_SEQUENCE)
    order.sequence(SEQUENCE, BIG)
    order.sequence(LATER_SEQUENCE, BIG)
    with pytest.raises(HeaderError, match=r"IconImageSequence \(0088,0200\) at offset -8, whose"):
        order.add(ROWS)
    assert order.asked == [(0, 12)]


def test_a_higher_sequence_is_judged_anew() -> None:
    """Its own items count, and the first element behind it."""
    order = Order(last_within=MODALITY)
    order.sequence()
    order.add(MODALITY - 1)
    order.add(ROWS)
    order.sequence(LATER_SEQUENCE, BIG)
    with pytest.raises(HeaderError, match=r"IconImageSequence \(0088,0200\) at offset 4, whose"):
        order.add(COLUMNS)
    assert order.asked == [(0, 12), (12, 24)]


@pytest.mark.parametrize("vr", [b"SQ", b"UN", b""])
@pytest.mark.parametrize("position", [LITTLE, BIG])
def test_items_make_a_sequence(vr: bytes, position: int) -> None:
    """Of VR SQ or UN, or without a VR; in both byte orders."""
    order = Order()
    order.sequence(position=position, vr=vr)
    assert "may belong to the sequence" in order.refuses(ROWS)


@pytest.mark.parametrize(
    ("position", "length", "vr"),
    [(LITTLE, 12, b"OB"), (LITTLE, 7, b"SQ"), (LITTLE, UNDEFINED, b"SQ"), (NO_ITEM, 8, b"SQ"), (1, 12, b"SQ")],
)
def test_other_values_are_no_sequences_that_could_be_cut(position: int, length: int, vr: bytes) -> None:
    """An undefined length ends with a delimiter, and an item takes eight bytes."""
    order = Order()
    order.sequence(SEQUENCE, position, length, vr)
    order.add(ROWS)
    assert order.asked == []


def test_a_sequence_of_an_empty_item_is_one() -> None:
    """Eight bytes are the header of the item."""
    order = Order()
    order.sequence(length=8)
    assert order.refuses(ROWS) == FOREIGN
    assert order.asked == [(0, 8)]
