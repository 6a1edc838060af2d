"""Define one file of an archive while it is unpacked."""

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Member(NamedTuple):
    """The name of a file inside its archive, which is never used as a path, and its content in pieces."""

    name: str
    pieces: Iterator[bytes]

    def skip(self, progress: Callable[[], None]) -> str:
        """Read the content without keeping it, and return the name. Call `progress` for each piece, and at the end."""
        for _ in self.pieces:
            progress()
        progress()
        return self.name
