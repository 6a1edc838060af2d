"""Check the free disk space, with a cached result for threads that ask once per image."""

import threading
import time

from producer.dispatcher.disk import DiskReserve

_DISK_CHECK_SECONDS = 0.5
"""The result of a check is used again for this long."""


class FreeSpaceCheck:
    """Checks the free disk space, at most twice a second."""

    def __init__(self, reserve: DiskReserve) -> None:
        self._reserve = reserve
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        self._short = False

    def is_short(self) -> bool:
        """Return whether there is too little free space; the result is at most half a second old."""
        with self._lock:
            now = time.monotonic()
            if now - self._checked_at >= _DISK_CHECK_SECONDS:
                self._short, self._checked_at = self._reserve.is_short(before=self._short), now
            return self._short
