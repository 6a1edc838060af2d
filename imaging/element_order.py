"""Collect the elements of an irregular data set, and detect elements that really belong to one of its sequences.

If the length of a sequence or item is too small, the elements after its declared end look like elements of the data
set. The tags of a data set ascend (PS3.5 section 7.1). Therefore such elements are recognised by a tag that is lower
than the tag of the sequence, or that occurs twice.
"""

from collections.abc import Callable
from typing import NamedTuple

from imaging import tags
from imaging.tags import tag_name
from imaging.walk import UNDEFINED, Element, HeaderError

NEEDED = frozenset(value for value in vars(tags).values() if isinstance(value, int)) | {
    tag for value in vars(tags).values() if isinstance(value, tuple | frozenset) for tag in value
}
"""All tags that nightread reads: only these can change a result."""
_SEQUENCE_VRS = (b"SQ", b"UN", b"")
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""The tag of an item in little endian and in big endian."""
_ITEM_HEADER = 8


class _Sequence(NamedTuple):
    tag: int
    offset: int
    value: int
    end: int


class ElementOrder:
    """Adds the elements of one data set to `found`, in the order of the file."""

    __slots__ = ("_data", "_first_behind", "_found", "_last_inner", "_last_within", "_sequence")

    def __init__(self, data: bytes, found: dict[int, Element], last_inner: Callable[[int, int], int]) -> None:
        """`last_inner` takes the start and the end of a sequence's items, and returns the last tag within them."""
        self._data = data
        self._found = found
        self._last_inner = last_inner
        self._sequence: _Sequence | None = None
        """The sequence of defined length with the highest tag so far; elements with lower tags that follow it are
        checked."""
        self._first_behind: int | None = None
        self._last_within: int | None = None
        """Last tag within `_sequence`; None until it is needed."""

    def add(self, tag: int, offset: int, element: Element) -> None:
        """Add an element, unless its tag was found before. `offset` is the position of its header.

        Raises HeaderError if nightread needs the element, and the element occurs twice with different values or may
        belong to the sequence before it.
        """
        if tag in NEEDED:
            self._check(tag, offset, element)
        self._found.setdefault(tag, element)
        if self._first_behind is None:
            self._first_behind = tag
        if self._is_sequence(element) and (self._sequence is None or tag > self._sequence.tag):
            _, value, length = element
            self._sequence = _Sequence(tag, offset, value, value + length)
            self._first_behind = self._last_within = None

    def _check(self, tag: int, offset: int, element: Element) -> None:
        sequence, place = self._sequence, f"{tag_name(tag)} at offset {offset:,}"
        if sequence is not None and tag < sequence.tag and self._may_belong_to(sequence, tag):
            owner = f"{tag_name(sequence.tag)} at offset {sequence.offset:,}"
            raise HeaderError(f"{place} may belong to the sequence {owner}, whose length seems to be too small.")
        earlier = self._found.get(tag)
        if earlier is not None and self._value(earlier) != self._value(element):
            raise HeaderError(f"{place} is there a second time, with another value.")

    def _may_belong_to(self, sequence: _Sequence, tag: int) -> bool:
        """Return whether the elements behind the sequence could continue its last item."""
        if self._last_within is None:
            self._last_within = self._last_inner(sequence.value, sequence.end)
        first = tag if self._first_behind is None else self._first_behind
        return self._last_within < first < sequence.tag

    def _value(self, element: Element) -> bytes | int:
        _, position, length = element
        return position if length == UNDEFINED else self._data[position : position + length]

    def _is_sequence(self, element: Element) -> bool:
        vr, position, length = element
        if length == UNDEFINED or length < _ITEM_HEADER or vr not in _SEQUENCE_VRS:
            return False
        return self._data[position : position + 4] in _ITEM_TAGS
