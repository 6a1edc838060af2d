"""Count the associations that brought no image because they were refused or broke off, for receipts and `status`."""

import threading
from collections.abc import Callable
from datetime import datetime

from nightread.clock import Clock
from producer.cstore.association import AssociationLog
from producer.cstore.last_hour import HourlyCounts

_MOST_SENDERS = 1000
"""Most receipts per hour. A program that tries many AE titles must not fill the database."""


class RefusedAssociations:
    """Counts refusals in one receipt per hour, AE title and address, since some senders try again every second."""

    def __init__(self, update_receipt: Callable[[AssociationLog], None], *, clock: Clock) -> None:
        self._update_receipt = update_receipt
        self._clock = clock
        self._lock = threading.Lock()
        self._hour: datetime | None = None
        self._logs: dict[tuple[str, str], AssociationLog] = {}
        self._counts = HourlyCounts(clock)

    def note(self, *, calling_ae: str, address: str, how: str) -> None:
        """Count an association that ended as `how` says, such as "rejected"."""
        now = self._clock()
        self._counts.add(how, calling_ae=calling_ae, address=address)
        with self._lock:
            log = self._log_of(calling_ae, address, now)
            if log is None:
                return
            log.statuses[how] += 1
            log.ended_at = now
        self._update_receipt(log)

    def report(self) -> dict[str, object]:
        """Return the numbers of the last hour by kind, and the latest caller; empty if there was no refusal."""
        found = self._counts.last_hour()
        return {"by_kind": found.by_kind, "latest": found.latest} if found else {}

    def _log_of(self, calling_ae: str, address: str, now: datetime) -> AssociationLog | None:
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._logs = hour, {}
        key = calling_ae, address
        if key not in self._logs:
            if len(self._logs) == _MOST_SENDERS:
                return None
            self._logs[key] = AssociationLog(calling_ae=calling_ae, address=address, began_at=now)
        return self._logs[key]
