"""The dispatcher's sweep: work that was lost on its way comes back."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from redis.exceptions import RedisError

from db import ledger
from db.engine import Database
from nightread.clock import Clock
from nightread.settings import Settings
from producer.dispatcher.transport import Transport

log = logging.getLogger(__name__)

_OVERDUE_SECONDS = 20
CLOCK_SECONDS = 60.0
"""Distance of the looks for times that lie ahead: they read all that waits, a fifth of a second for a million."""


class Sweeper:
    """Takes back leases that ran out and batches whose message is lost. Two looks in a row find what Redis forgot."""

    def __init__(
        self,
        database: Database,
        transport: Transport,
        settings: Settings,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._transport = transport
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._longest_wait = timedelta(seconds=max(settings.retry_cap_seconds, settings.arrival_timeout_seconds))
        self._clock = clock
        self._monotonic = monotonic
        self._suspects: frozenset[str] = frozenset()
        self._looked_ahead_at = float("-inf")

    def sweep(self) -> None:
        """One look."""
        now = self._clock()
        self._mind_the_clock()
        expired = ledger.return_expired(self._database, now=now)
        overtaken = ledger.return_overtaken(self._database, now=now)
        lost = ledger.return_batches(self._database, self._lost_batches(), now=now)
        if expired or overtaken or lost:
            log.warning("images taken back", extra={"expired": expired, "overtaken": overtaken, "lost": lost})

    def _mind_the_clock(self) -> None:
        """What was written before a clock was set back is not waited for."""
        if self._monotonic() - self._looked_ahead_at < CLOCK_SECONDS:
            return
        rows = ledger.clamp_future_times(
            self._database, lease=self._lease, longest_wait=self._longest_wait, now=self._clock()
        )
        self._looked_ahead_at = self._monotonic()
        if rows:
            log.warning("a clock was set back: times that lay ahead were corrected", extra={"rows": rows})

    def _lost_batches(self) -> list[str]:
        """Batches that nobody will claim, since nobody has their message.

        Those of which Redis knew nothing at this look and the one before; and those that nobody claimed for a while
        although none waits in the queue and processes are free: their message was delivered to a worker that died
        before it could claim them, and lies among the unacknowledged ones for as long as nobody clears them up.
        """
        before, self._suspects = self._suspects, frozenset()
        unclaimed = frozenset(ledger.open_batches(self._database))
        if not unclaimed:
            return []
        try:
            messages = self._transport.messages()
        except (RedisError, OSError):
            return []  # it cannot be asked, so nothing is lost by it
        self._suspects = unclaimed - {*messages.waiting, *messages.delivered}
        return sorted((before & self._suspects) | (set() if messages.waiting else self._overdue_batches()))

    def _overdue_batches(self) -> set[str]:
        now = self._clock()
        queue_status = ledger.queue_status(self._database, images=1, now=now)
        if queue_status.slots <= queue_status.running:
            return set()
        overdue = ledger.open_batches(self._database, created_before=now - timedelta(seconds=_OVERDUE_SECONDS))
        # Celery hands a process its next batch while it still loads its model: it claims the batch when it is ready.
        return set(overdue) if len(overdue) > queue_status.starting else set()
