"""The dispatcher: ledger -> batches -> Redis. There is one; it alone publishes and sweeps."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from threading import Event

from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from db import ledger
from db.engine import Database
from nightread.clock import Clock, utc_now
from nightread.settings import Settings
from producer.transport import Transport

log = logging.getLogger(__name__)

_LEAST_WINDOW = 2
_COUNTED_BATCHES = 64
"""Ready images are counted up to this many batches: enough to decide, cheap with a million waiting."""
_OVERDUE_SECONDS = 60
_SWEEP_SECONDS = 2.0
"""Also the distance of the two looks that find lost messages."""


class Dispatcher:
    """Keeps the queue in Redis short and the worker processes busy."""

    def __init__(self, database: Database, transport: Transport, settings: Settings, clock: Clock = utc_now) -> None:
        self._database = database
        self._transport = transport
        self._settings = settings
        self._clock = clock
        self._partial_since: float | None = None
        self._swept_at = 0.0
        self._suspects: frozenset[str] = frozenset()
        self._redis_is_down = False

    def run(self, stop: Event, before_each: Callable[[], None] = lambda: None) -> None:
        """Dispatch until `stop`; a database that goes away is waited for. `before_each` may raise to end it."""
        while not stop.is_set():
            before_each()
            try:
                wait = self.tick()
            except DBAPIError as error:
                log.warning("the database does not answer, trying again", extra={"error": type(error).__name__})
                wait = self._settings.poll_seconds
            if not stop.is_set():
                self._transport.wait_for_wake(wait)

    def tick(self) -> float:
        """Sweep if due, publish what may go. Returns the seconds after which to look again if nobody wakes us."""
        if time.monotonic() - self._swept_at >= _SWEEP_SECONDS:
            self._sweep()
        return self._dispatch()

    def _dispatch(self) -> float:
        full = self._settings.batch_images
        outlook = ledger.look(self._database, at_most=full * _COUNTED_BATCHES, now=self._clock())
        room = max(_LEAST_WINDOW, 2 * outlook.slots) - outlook.waiting
        if room <= 0 or outlook.ready == 0:
            self._partial_since = None
            return self._settings.poll_seconds
        if outlook.ready >= full * max(1, outlook.idle_slots):
            return self._publish(count=min(room, outlook.ready // full), images=full)
        remaining = self._remaining_patience()
        if outlook.idle_slots or remaining <= 0:
            shares = max(1, min(room, outlook.idle_slots, outlook.ready))
            return self._publish(count=shares, images=ceil(outlook.ready / shares))
        return remaining

    def _remaining_patience(self) -> float:
        """How much longer a partial batch waits for more images while all processes are busy."""
        now = time.monotonic()
        self._partial_since = self._partial_since or now
        return self._settings.batch_wait_seconds - (now - self._partial_since)

    def _publish(self, *, count: int, images: int) -> float:
        self._partial_since = None
        limit = self._settings.batch_bytes
        formed = ledger.form_batches(self._database, count=count, images=images, max_bytes=limit, now=self._clock())
        unpublished = list(formed)
        try:
            for batch in formed:
                self._transport.publish(batch.id, batch.images)
                unpublished.remove(batch)
        except (BrokerError, RedisError, OSError) as error:
            self._say_redis_is_down(error)
        for batch in unpublished:
            ledger.return_unpublished(self._database, batch.id, now=self._clock())
        if unpublished:
            return self._settings.poll_seconds
        self._redis_is_down = False
        return 0.0 if formed else self._settings.poll_seconds

    def _sweep(self) -> None:
        now = self._clock()
        expired = ledger.return_expired(self._database, now=now)
        overtaken = ledger.return_overtaken(self._database, now=now)
        lost = ledger.return_batches(self._database, self._lost_batches(), now=now)
        self._swept_at = time.monotonic()
        if expired or overtaken or lost:
            log.warning("images taken back", extra={"expired": expired, "overtaken": overtaken, "lost": lost})

    def _lost_batches(self) -> list[str]:
        """Batches whose messages Redis does not have.

        Those that were open at this look and the one before, both times with nothing left in Redis; and those that
        nobody claimed for a minute although nothing waits in the queue and processes are free: their message was
        delivered to a worker that died before it could claim them.
        """
        unclaimed = frozenset(ledger.open_batches(self._database))
        waiting = delivered = 0
        try:
            if unclaimed:
                waiting, delivered = self._transport.messages()
        except (RedisError, OSError) as error:
            self._say_redis_is_down(error)
            waiting = 1
        before, self._suspects = self._suspects, frozenset() if waiting or delivered else unclaimed
        return sorted((before & self._suspects) | (set() if waiting else self._overdue_batches(unclaimed)))

    def _overdue_batches(self, unclaimed: frozenset[str]) -> set[str]:
        now = self._clock()
        if not unclaimed:
            return set()
        outlook = ledger.look(self._database, at_most=1, now=now)
        if outlook.slots <= outlook.running:
            return set()
        return set(ledger.open_batches(self._database, created_before=now - timedelta(seconds=_OVERDUE_SECONDS)))

    def _say_redis_is_down(self, error: Exception) -> None:
        if not self._redis_is_down:
            log.warning("Redis does not answer: the ledger keeps the work", extra={"error": type(error).__name__})
        self._redis_is_down = True
