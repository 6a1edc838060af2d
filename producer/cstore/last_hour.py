"""Count the events of the last hour by kind. The memory use does not depend on the number of events."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from nightread.clock import Clock

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_MOST_KINDS = 1000
"""Up to this many kinds are counted separately in each minute."""
OTHERS = "others"
"""The kind under which all further kinds are counted."""


class LastHour(NamedTuple):
    """The events of the last hour, counted to the minute."""

    by_kind: Mapping[str, int]
    latest: str
    """The caller of the latest event."""

    @property
    def total(self) -> int:
        """Return the number of events."""
        return sum(self.by_kind.values())


class HourlyCounts:
    """Counts events per minute. An event counts for an hour. The memory use does not depend on the number of events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: deque[tuple[datetime, Counter[str]]] = deque()
        self._latest = ""

    def add(self, kind: str, *, calling_ae: str, address: str) -> None:
        """Count an event that a caller caused."""
        minute = self._clock().replace(second=0, microsecond=0)
        with self._lock:
            self._forget(minute)
            if not self._minutes or self._minutes[-1][0] < minute:
                self._minutes.append((minute, Counter()))
            counts = self._minutes[-1][1]
            counts[kind if kind in counts or len(counts) < _MOST_KINDS else OTHERS] += 1
            self._latest = f"{calling_ae or 'a caller without AE title'} at {address}"

    def last_hour(self) -> LastHour | None:
        """Return the counts of the last hour; None if there was no event."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            total = sum((counts for _, counts in self._minutes), Counter[str]())
            return LastHour(dict(total), self._latest) if total else None

    def _forget(self, now: datetime) -> None:
        while self._minutes and self._minutes[0][0] + _MINUTE <= now - _HOUR:
            self._minutes.popleft()
