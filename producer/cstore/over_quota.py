"""Count the images that were refused because their sender holds too much in the spool, for `status`."""

import threading
from collections import Counter, deque
from datetime import datetime, timedelta

from nightread.clock import Clock
from producer.spool.quota import sender_of

OVER_QUOTA = "over_quota"
"""The word under which receipts count these images, beside their status A700."""
_SHOWN_FOR = timedelta(hours=1)
_MOST_RECENT = 10_000


class OverQuota:
    """Remembers the refused images of the last hour and who sent them; one sender counts under all its AE titles."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: deque[tuple[datetime, str, str]] = deque(maxlen=_MOST_RECENT)

    def note(self, calling_ae: str, address: str) -> str:
        """Count a refused image, and return its sender."""
        sender = sender_of(address)
        with self._lock:
            self._recent.append((self._clock(), sender, f"{calling_ae or 'a caller without AE title'} at {address}"))
        return sender

    def report(self) -> dict[str, object]:
        """Return the number of images and senders of the last hour, and who the latest was; empty if none was."""
        since = self._clock() - _SHOWN_FOR
        with self._lock:
            recent = [entry for entry in self._recent if entry[0] >= since]
        if not recent:
            return {}
        senders = Counter(sender for _, sender, _ in recent)
        return {"images": len(recent), "senders": len(senders), "latest": recent[-1][2]}
