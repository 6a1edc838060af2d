"""Detect complete files: files that did not change for some seconds by our own clock."""

from collections.abc import Callable

Monotonic = Callable[[], float]
"""Returns the seconds of a monotonic clock. The modification times of a file server may be wrong."""


class Settling:
    """Remembers files that are not complete yet, by a digest of path, size and time. A changed file has a new digest.

    Only the incomplete files of the latest scan are in memory.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._since: dict[bytes, float] = {}
        self._met: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def is_settled(self, digest: bytes, now: float) -> bool:
        """Return whether this digest was first seen at least `settle_seconds` ago. If it was not, remember it."""
        since = self._since.get(digest, now)
        if now - since >= self._settle_seconds:
            return True
        self._met[digest] = since
        return False

    def end_scan(self) -> None:
        """Forget files that this scan did not find again: they were deleted, changed or registered."""
        self._since, self._met = self._met, {}

    def abandon_scan(self) -> None:
        """Keep the files of the previous scan, since this one did not reach its end."""
        self._since |= self._met
        self._met = {}
