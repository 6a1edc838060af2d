"""Take back lost work: expired leases, and batches whose message was lost (the dispatcher's sweep)."""

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
_START_SECONDS = 200
"""After this time a starting process has ended or is ready: Celery waits 180 s for it (nightread.queue)."""
CLOCK_SECONDS = 60.0
"""Interval of the checks for times in the future. Each check reads all waiting images: 0.2 s for a million images."""


class Sweeper:
    """Takes back images with an expired lease, overtaken batches, and batches whose message two sweeps did not find."""

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
        self._clock_checked_at = float("-inf")

    def sweep(self) -> None:
        """Sweep once. Raises errors of the database; an unavailable Redis is ignored."""
        now = self._clock()
        self._check_clock()
        expired = ledger.return_expired(self._database, now=now)
        overtaken = ledger.return_overtaken(self._database, now=now)
        lost = ledger.return_batches(self._database, self._lost_batches(), now=now)
        if expired or overtaken or lost:
            log.warning("lost images were taken back", extra={"expired": expired, "overtaken": overtaken, "lost": lost})

    def _check_clock(self) -> None:
        """Correct times that lie in the future because a clock was set back, so that nothing waits for them."""
        if self._monotonic() - self._clock_checked_at < CLOCK_SECONDS:
            return
        rows = ledger.clamp_future_times(
            self._database, lease=self._lease, longest_wait=self._longest_wait, now=self._clock()
        )
        self._clock_checked_at = self._monotonic()
        if rows:
            log.warning("a clock was set back: times in the future were corrected", extra={"rows": rows})

    def _lost_batches(self) -> list[str]:
        """Return the ids of batches that no worker will claim.

        A batch is lost if Redis had no message of it in this sweep and the one before. It is also lost if it has been
        unclaimed for 20 s while the queue is empty and processes are free: its message was delivered to a worker that
        died before the claim, and stays among the unacknowledged messages. If processes that are still starting may
        hold these batches, this time is 200 s instead of 20 s.
        """
        before, self._suspects = self._suspects, frozenset()
        unclaimed = frozenset(ledger.open_batches(self._database))
        if not unclaimed:
            return []
        try:
            messages = self._transport.messages()
        except (RedisError, OSError):
            return []  # without Redis no message is known to be missing
        self._suspects = unclaimed - {*messages.waiting, *messages.delivered}
        return sorted((before & self._suspects) | (set() if messages.waiting else self._overdue_batches()))

    def _overdue_batches(self) -> set[str]:
        now = self._clock()
        queue_status = ledger.queue_status(self._database, images=1, now=now)
        if queue_status.slots <= queue_status.running:
            return set()
        overdue = ledger.open_batches(self._database, created_before=now - timedelta(seconds=_OVERDUE_SECONDS))
        if len(overdue) > queue_status.starting:
            return set(overdue)
        # Celery gives a process a batch while the process still loads its models, before it can claim the batch.
        return set(ledger.open_batches(self._database, created_before=now - timedelta(seconds=_START_SECONDS)))
