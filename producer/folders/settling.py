"""Which files are complete: those that stayed as they are for long enough, by our own clock."""

from collections.abc import Callable

Monotonic = Callable[[], float]
"""Seconds by a clock that only goes forward; the times that a file server writes into its files may be wrong."""


class Settling:
    """Files seen but not yet complete, each by the digest of its path, size and time: a file that grows has a new one.

    Holds what the latest walk met and is unsettled, so its memory is bounded by that and not by history.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._since: dict[bytes, float] = {}
        self._met: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def is_settled(self, digest: bytes, now: float) -> bool:
        """Whether the file was first seen like this at least `settle_seconds` ago; remembers it otherwise."""
        since = self._since.get(digest, now)
        if now - since >= self._settle_seconds:
            return True
        self._met[digest] = since
        return False

    def end_walk(self) -> None:
        """Forget files that the walk did not meet again: they are gone, changed or taken."""
        self._since, self._met = self._met, {}

    def abandon_walk(self) -> None:
        """Keep what was known before a walk that did not get to its end."""
        self._since |= self._met
        self._met = {}
