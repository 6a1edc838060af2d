"""Define one file of an archive while it is unpacked."""

from collections.abc import Iterator
from typing import NamedTuple


class Member(NamedTuple):
    """The name of a file inside its archive, which is never used as a path, and its content in pieces."""

    name: str
    pieces: Iterator[bytes]

    def skip(self) -> str:
        """Read over the content and return the name."""
        for _ in self.pieces:
            pass
        return self.name
