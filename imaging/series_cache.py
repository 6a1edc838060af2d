"""Cache results that depend on a few elements of a header. The images of a series have the same values in them."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from imaging import tags
from imaging.elements import Elements

T = TypeVar("T")

_MOST_KEPT = 256
_LONGEST_VALUE = 256
"""Headers with longer values, such as lookup tables, are not cached."""


class SeriesCache(Generic[T]):
    """Calls `make` with the `wanted` elements of a data set, and keeps the result for data sets with equal values."""

    def __init__(self, make: Callable[..., T], *wanted: int) -> None:
        """`make` gets a data set with only the `wanted` elements, and the values `further` of `get`."""
        self._make = make
        self._wanted = (tags.SPECIFIC_CHARACTER_SET, *wanted)  # the character set decides what texts mean
        self._made: dict[Hashable, T] = {}

    def get(self, elements: Elements, *further: Hashable) -> T:
        """Return the result of `make` for this data set. Raises the errors of `make`, which are not kept."""
        written = elements.written(self._wanted, _LONGEST_VALUE)
        key = written, elements.encoding, further
        made = self._made.get(key) if written is not None else None
        if made is None:
            made = self._make(elements.only(self._wanted), *further)
            if written is not None:
                self._keep(key, made)
        return made

    def _keep(self, key: Hashable, made: T) -> None:
        if len(self._made) >= _MOST_KEPT:
            self._made.clear()
        self._made[key] = made
