"""Remember who read which image or study in the last minute."""

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

_WINDOW = timedelta(minutes=1)
_MOST_REMEMBERED = 10_000

Kind = Literal["image", "study"]


@dataclass(slots=True)
class RecentReads:
    """The reads of the last minute. Safe for use in several threads."""

    _seen: dict[tuple[str, Kind, int | str], datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, caller: str, kind: Kind, name: int | str, now: datetime) -> bool:
        """Remember a read. Return False if a read of this object by this caller was remembered in the last minute."""
        with self._lock:
            last = self._seen.get((caller, kind, name))
            if last is not None and last <= now < last + _WINDOW:
                return False
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen = {key: at for key, at in self._seen.items() if at <= now < at + _WINDOW}
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            self._seen[caller, kind, name] = now
            return True

    def forget(self, caller: str, kind: Kind, name: int | str) -> None:
        """Forget a read that could not be stored, so that the next one is stored."""
        with self._lock:
            self._seen.pop((caller, kind, name), None)
