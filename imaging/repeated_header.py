"""Recognise a header whose elements lie at the same places as those of an earlier header.

The files of a series differ in a few values. If tag, VR and length of each element are the same bytes at the same
places, a walk over the header would take the same steps, so the places that it found before are used again. This takes
a tenth of the time of the walk.
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from imaging.elements import Elements
from imaging.tags import PIXEL_DATA_TAGS, TRANSFER_SYNTAX_UID
from imaging.walk import UNDEFINED, Element, Encoding

_MOST_KEPT = 128
_MOST_ELEMENTS = 1000
_MOST_COMPARED_BYTES = 16 * 1024
"""Headers with more elements, or more bytes to compare, are not kept: a kept header takes at most about 300 KB."""
_MAGIC_START = 128
"""The preamble, which may hold anything, ends here (PS3.10 section 7.1)."""


class Places(NamedTuple):
    """Where the elements of a header lie, and how the data set is encoded."""

    found: dict[int, Element]
    """The elements of the data set up to the pixel data. Several images share it, so it must not be changed."""
    encoding: Encoding
    transfer_syntax: str | None
    start: int
    """Position of the data set, behind the file meta information."""
    end: int
    """Position behind the header of the pixel data element."""


class _Known(NamedTuple):
    places: Places
    parts: Struct
    """Unpacks the bytes that decide the steps of a walk over the header (`_deciding_parts`), and skips the others."""
    written: tuple[bytes, ...]
    """The deciding bytes of the header that is kept, as `parts` unpacks them."""


class RepeatedHeaders:
    """Keeps the places of headers, by the length of their files. The files of a series often have the same length."""

    def __init__(self) -> None:
        self._known: dict[int, _Known | None] = {}

    def find(self, data: bytes) -> Places | None:
        """Return the places of the elements if the kept header of this length has the same places, else None."""
        known = self._known.get(len(data))
        if known is not None and known.parts.unpack_from(data) == known.written:
            return known.places
        return None

    def keep(self, data: bytes, meta: Elements, elements: Elements, transfer_syntax: str | None) -> None:
        """Keep the places of the elements of this header, unless its file is the first of this length.

        If an earlier header of this length is kept, it did not match. Then it is dropped, and the header of the next
        file of this length is kept. Irregular headers and headers without pixel data are not kept.
        """
        size, known = len(data), self._known
        if known.get(size, ...) is not None:
            if len(known) >= _MOST_KEPT:
                known.clear()
            known[size] = None
        elif meta.is_regular and elements.is_regular and not PIXEL_DATA_TAGS.isdisjoint(elements):
            places = Places(elements.found, elements.encoding, transfer_syntax, elements.start, elements.end)
            if parts := _deciding_parts(meta.found, places):
                known[size] = _Known(places, parts, parts.unpack_from(data))


def _deciding_parts(meta: dict[int, Element], places: Places) -> Struct | None:
    """Return a struct of all bytes that decide how this header is walked; None if there are too many.

    These are tag, VR and length of each element, the whole sequences of undefined length, and the transfer syntax.
    """
    if len(meta) + len(places.found) > _MOST_ELEMENTS:
        return None
    formats, position, compared = [f"={_MAGIC_START}x"], _MAGIC_START, 0
    for begin, end in _free_values(meta, places):
        formats.append(f"{begin - position}s{end - begin}x")
        compared += begin - position
        position = end
    if compared > _MOST_COMPARED_BYTES:
        return None
    return Struct("".join([*formats, f"{places.end - position}s"]))


def _free_values(meta: dict[int, Element], places: Places) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each value that has no effect on the walk over the header, in the order of the file."""
    for elements in (meta, places.found):
        for tag, (_, begin, length) in elements.items():
            if length != UNDEFINED and tag != TRANSFER_SYNTAX_UID and begin < places.end:
                yield begin, begin + length
