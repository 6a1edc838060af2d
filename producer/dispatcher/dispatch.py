"""The dispatcher: ledger -> batches -> Redis. There is one; it alone publishes and sweeps."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from math import ceil
from threading import Event

from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db import ledger, queries
from db.engine import Database
from db.ledger import Batch, BatchFilter
from db.queries import Pause
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from nightread.clock import Clock, utc_now
from nightread.settings import Settings
from producer.dispatcher.batch_size import LEARNT_FROM, LEAST_IMAGES, LEAST_SHARE, full_batch, share
from producer.dispatcher.circuit_breaker import PROBE_IMAGES
from producer.dispatcher.pausing import PauseController
from producer.dispatcher.sweeper import Sweeper
from producer.dispatcher.transport import Transport

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
"""Also the distance of the two looks that find lost messages."""
_UNAVAILABLE = (DBAPIError, PoolTimeoutError)


class Sent(Enum):
    """What became of batches that were to be sent."""

    ALL = "all"
    NOT_ALL = "not all"
    """Redis was, or went, away."""
    NOTHING = "nothing"
    """There was none to form."""


class Dispatcher:
    """Keeps the queue in Redis short and the worker processes busy."""

    def __init__(
        self,
        database: Database,
        transport: Transport,
        settings: Settings,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._transport = transport
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._sweeper = Sweeper(database, transport, settings, clock, monotonic)
        self._pause_controller = PauseController(database, settings, clock)
        self._partial_since: float | None = None
        self._swept_at = float("-inf")
        self._redis_is_down = False

    def run(self, stop: Event, before_each: Callable[[], None] = lambda: None) -> None:
        """Dispatch until `stop`; a database that goes away is waited for. `before_each` may raise to end it."""

        def checked_tick() -> float:
            before_each()
            return self.tick()

        policy = RetryPolicy(errors=_UNAVAILABLE, pause_seconds=self._settings.poll_seconds)
        wait_for_notification = self._transport.wait_for_notification
        with suppress(*_UNAVAILABLE):  # raised only once `stop` is set
            while not stop.is_set():
                wait = retry_while_unavailable(
                    checked_tick, policy, OutageLog(log), stop=stop, wait=wait_for_notification
                )
                if not stop.is_set():
                    wait_for_notification(wait)

    def tick(self) -> float:
        """Sweep if due, publish what may go. Returns the seconds after which to look again if nobody wakes us."""
        if self._monotonic() - self._swept_at >= SWEEP_SECONDS:
            self._sweeper.sweep()
            self._pause_controller.decide()
            self._swept_at = self._monotonic()
        pauses = self._pause_controller.pauses()
        return self._probe(pauses) if pauses else self._dispatch()

    def _dispatch(self) -> float:
        full, least = self._batch_sizes()
        queue_status = ledger.queue_status(self._database, images=full, now=self._clock())
        if queue_status.free_places <= 0 or queue_status.ready == 0:
            self._partial_since = None
            return self._settings.poll_seconds
        if queue_status.ready >= full * max(1, queue_status.idle_slots):
            images = share(queue_status, full, least)
            return self._look_after(
                self._send(count=min(queue_status.free_places, queue_status.ready // images), images=images)
            )
        remaining = self._remaining_patience()
        if queue_status.idle_slots or remaining <= 0:
            shares = max(
                1,
                min(
                    queue_status.free_places,
                    queue_status.idle_slots or queue_status.ready // LEAST_IMAGES,
                    queue_status.ready,
                ),
            )
            return self._look_after(self._send(count=shares, images=ceil(queue_status.ready / shares)))
        return remaining

    def _batch_sizes(self) -> tuple[int, int]:
        """Of a full batch, and of the least share of a backlog."""
        latest = queries.latest_batches(self._database, LEARNT_FROM)
        seconds, largest = self._settings.batch_seconds, self._settings.batch_images
        full, least = (full_batch(latest, seconds=part * seconds, largest=largest) for part in (1, LEAST_SHARE))
        return full, least

    def _probe(self, pauses: Sequence[Pause]) -> float:
        """Nothing goes but, now and then, a few images that are not suspected of anything, if there are such."""
        if self._pause_controller.wants_probe(pauses):
            for batch_filter in (BatchFilter.UNTRIED, BatchFilter.UNSUSPECTED, BatchFilter.ANY):
                if (
                    self._send(count=1, images=PROBE_IMAGES, is_probe=True, batch_filter=batch_filter)
                    is not Sent.NOTHING
                ):
                    break
        return self._settings.poll_seconds

    def _remaining_patience(self) -> float:
        """How much longer a partial batch waits for more images while all processes are busy."""
        now = self._monotonic()
        self._partial_since = self._partial_since or now
        return self._settings.batch_wait_seconds - (now - self._partial_since)

    def _look_after(self, sent: "Sent") -> float:
        """Seconds until the next look: at once while there may be more to send."""
        return 0.0 if sent is Sent.ALL else self._settings.poll_seconds

    def _send(
        self, *, count: int, images: int, is_probe: bool = False, batch_filter: BatchFilter = BatchFilter.ANY
    ) -> "Sent":
        """Form batches and publish them. None is formed for a Redis that is away."""
        self._partial_since = None
        if not self._is_redis_there():
            return Sent.NOT_ALL
        formed = ledger.form_batches(
            self._database,
            count=count,
            images=images,
            max_bytes=self._settings.batch_bytes,
            now=self._clock(),
            batch_filter=batch_filter,
        )
        if not formed:
            return Sent.NOTHING
        if is_probe:
            ledger.set_probe(self._database, formed[0].id, now=self._clock())
        unpublished = self._publish(formed)
        for batch in unpublished:
            ledger.return_unpublished(self._database, batch.id, now=self._clock())
        return Sent.NOT_ALL if unpublished else Sent.ALL

    def _publish(self, formed: Sequence[Batch]) -> Sequence[Batch]:
        """Publish until it fails; returns those that were not."""
        for position, batch in enumerate(formed):
            try:
                self._transport.publish(batch.id, batch.images)
            except (BrokerError, RedisError, OSError) as error:
                self._say_redis_is_down(error)
                return formed[position:]
        return ()

    def _is_redis_there(self) -> bool:
        try:
            self._transport.ping()
        except (RedisError, OSError) as error:
            self._say_redis_is_down(error)
            return False
        self._redis_is_down = False
        return True

    def _say_redis_is_down(self, error: Exception) -> None:
        if not self._redis_is_down:
            log.warning("Redis does not answer: the ledger keeps the work", extra={"error": type(error).__name__})
        self._redis_is_down = True
