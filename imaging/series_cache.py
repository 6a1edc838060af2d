"""Keep what was made of a few elements of a header, because the images of a series share their values."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from imaging import tags
from imaging.elements import Elements

T = TypeVar("T")

_MOST_KEPT = 256
_LONGEST_VALUE = 256
"""Longer values are not compared: headers with lookup tables are read anew."""


class SeriesCache(Generic[T]):
    """Calls `make` with a data set, and again only for one that has other values in its elements `wanted`."""

    def __init__(self, make: Callable[..., T], *wanted: int) -> None:
        """`make` takes a data set and further hashable values, and reads only the elements `wanted`."""
        self._make = make
        self._wanted = (tags.SPECIFIC_CHARACTER_SET, *wanted)  # the character set decides what texts mean
        self._made: dict[Hashable, T] = {}

    def get(self, elements: Elements, *further: Hashable) -> T:
        """Return what `make` returns for this data set. Raises what it raises; errors are not kept."""
        written = elements.written(self._wanted, _LONGEST_VALUE)
        if written is None:
            return self._make(elements, *further)
        key = written, elements.encoding, further
        made = self._made.get(key)
        if made is None:
            made = self._make(elements, *further)
            if len(self._made) >= _MOST_KEPT:
                self._made.clear()
            self._made[key] = made
        return made
