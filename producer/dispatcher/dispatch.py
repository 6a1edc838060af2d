"""Form batches of the waiting images and publish them to Redis. Only one dispatcher may run."""

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
from db.ledger import Batch, BatchFilter, QueueStatus, SourceFilter
from db.queries import Pause
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from nightread.clock import Clock, utc_now
from nightread.settings import Settings
from producer.dispatcher.batch_size import MIN_SHARE, RECENT_BATCHES, STEP_IMAGES, full_batch, share
from producer.dispatcher.circuit_breaker import PROBE_IMAGES
from producer.dispatcher.pausing import PauseController
from producer.dispatcher.queue_reporter import QueueReporter
from producer.dispatcher.retention import Retention
from producer.dispatcher.series_schedule import SeriesScheduler
from producer.dispatcher.sweeper import Sweeper
from producer.dispatcher.transport import Transport

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
"""Interval of sweeps; a message counts as lost if it is missing in two sweeps."""
URGENT_IN_A_ROW = 4
"""After this many urgent batches one other batch is sent, so that urgent images never stop all other work."""
_UNAVAILABLE = (DBAPIError, PoolTimeoutError)


class Sent(Enum):
    """The result of an attempt to form and publish batches."""

    ALL = "all"
    NOT_ALL = "not all"
    """Redis is unavailable, so that some or all batches were not published."""
    NOTHING = "nothing"
    """No image was waiting for a batch."""


class Dispatcher:
    """Forms and publishes batches, so that the queue in Redis stays short and the worker processes stay busy."""

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
        self.series_scheduler = SeriesScheduler(database, transport, settings, clock, monotonic)
        self._retention = Retention(database, settings, clock, monotonic)
        self._queue_reporter = QueueReporter(database, transport, clock, monotonic)
        self._partial_since: float | None = None
        self._urgent_in_a_row = 0
        self._swept_at = float("-inf")
        self._redis_unavailable = False
        self.is_idle = False
        """Whether the latest tick found no image that is ready, and no batch that is published or claimed."""

    def run(self, stop: Event, before_each: Callable[[], None] = lambda: None) -> None:
        """Dispatch until `stop` is set; wait while the database is unavailable.

        `before_each` is called before each round, and may raise an error to end the loop.
        """

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
        """Sweep if due, and publish batches. Returns the seconds until the next tick if no notification comes."""
        if self._monotonic() - self._swept_at >= SWEEP_SECONDS:
            self._sweeper.sweep()
            self._pause_controller.decide()
            self._retention.step()
            self.series_scheduler.step()
            self._swept_at = self._monotonic()
        pauses = self._pause_controller.pauses()
        self._queue_reporter.report(pauses)
        held = frozenset(pause.source_id for pause in pauses if pause.source_id is not None)
        self._probe(pauses, held)
        if any(pause.source_id is None for pause in pauses):
            return self._settings.poll_seconds
        return self._dispatch(SourceFilter(held=held))

    def _dispatch(self, source_filter: SourceFilter) -> float:
        full, least = self._batch_sizes()
        queue_status = ledger.queue_status(self._database, images=full, now=self._clock(), source_filter=source_filter)
        self.is_idle = not (queue_status.ready or queue_status.waiting or queue_status.running)
        if queue_status.urgent and queue_status.urgent_places > 0:
            return self._seconds_to_next_tick(self._send_before_others(queue_status, full, source_filter))
        if queue_status.free_places <= 0 or queue_status.ready == 0:
            self._partial_since = None
            return self._settings.poll_seconds
        if queue_status.ready >= full * max(1, queue_status.idle_slots):
            images = share(queue_status, full, least)
            return self._seconds_to_next_tick(
                self._send(
                    count=min(queue_status.free_places, queue_status.ready // images),
                    images=images,
                    source_filter=source_filter,
                )
            )
        remaining = self._remaining_wait()
        if queue_status.idle_slots or remaining <= 0:
            shares = max(
                1,
                min(
                    queue_status.free_places,
                    queue_status.idle_slots or queue_status.ready // STEP_IMAGES,
                    queue_status.ready,
                ),
            )
            images = ceil(queue_status.ready / shares)
            return self._seconds_to_next_tick(self._send(count=shares, images=images, source_filter=source_filter))
        return remaining

    def _send_before_others(self, queue_status: QueueStatus, full: int, source_filter: SourceFilter) -> "Sent":
        """Send urgent images. After several urgent batches, send another batch, which overtakes waiting batches too."""
        may_starve = queue_status.ready > queue_status.urgent or queue_status.urgent >= full
        if self._urgent_in_a_row >= URGENT_IN_A_ROW and may_starve:
            self._urgent_in_a_row = 0
            sent = self._send(
                count=1, images=full, source_filter=source_filter, batch_filter=BatchFilter.NOT_URGENT, first=True
            )
            if sent is not Sent.NOTHING:
                return sent
        return self._send_urgent(queue_status, full, source_filter)

    def _send_urgent(self, queue_status: QueueStatus, full: int, source_filter: SourceFilter) -> "Sent":
        """Send urgent images before all others, spread over all processes, because clients wait for the results."""
        images = min(full, ceil(queue_status.urgent / max(1, queue_status.slots)))
        count = min(queue_status.urgent_places, ceil(queue_status.urgent / images), URGENT_IN_A_ROW)
        self._urgent_in_a_row += count
        return self._send(
            count=count, images=images, source_filter=source_filter, batch_filter=BatchFilter.URGENT, first=True
        )

    def _batch_sizes(self) -> tuple[int, int]:
        """Return the sizes of a full batch and of the smallest share of a backlog."""
        latest = queries.latest_batches(self._database, RECENT_BATCHES)
        seconds, largest = self._settings.batch_seconds, self._settings.batch_images
        full, least = (full_batch(latest, seconds=part * seconds, largest=largest) for part in (1, MIN_SHARE))
        return full, least

    def _probe(self, pauses: Sequence[Pause], held: frozenset[int]) -> None:
        """Send the probes that are due, preferably with images that are neither retried nor marked `alone`."""
        for pause in self._pause_controller.due_probes(pauses):
            source_filter = SourceFilter(held=held, only=pause.source_id)
            for batch_filter in (BatchFilter.UNTRIED, BatchFilter.UNSUSPECTED, BatchFilter.ANY):
                sent = self._send(
                    count=1, images=PROBE_IMAGES, probe_of=pause, batch_filter=batch_filter, source_filter=source_filter
                )
                if sent is not Sent.NOTHING:
                    break

    def _remaining_wait(self) -> float:
        """Return how many seconds a partial batch still waits for more images while all processes are busy."""
        now = self._monotonic()
        self._partial_since = self._partial_since or now
        return self._settings.batch_wait_seconds - (now - self._partial_since)

    def _seconds_to_next_tick(self, sent: "Sent") -> float:
        """Return 0 while there may be more to send, else the polling interval."""
        return 0.0 if sent is Sent.ALL else self._settings.poll_seconds

    def _send(
        self,
        *,
        count: int,
        images: int,
        source_filter: SourceFilter,
        probe_of: Pause | None = None,
        batch_filter: BatchFilter = BatchFilter.ANY,
        first: bool = False,
    ) -> "Sent":
        """Form and publish batches. While Redis is unavailable, form none.

        With `first`, workers take these batches before batches that wait in Redis already.
        """
        self._partial_since = None
        if not self._is_redis_available():
            return Sent.NOT_ALL
        formed = ledger.form_batches(
            self._database,
            count=count,
            images=images,
            max_bytes=self._settings.batch_bytes,
            now=self._clock(),
            batch_filter=batch_filter,
            source_filter=source_filter,
        )
        if not formed:
            return Sent.NOTHING
        if probe_of is not None:
            ledger.set_probe(self._database, probe_of.id, formed[0].id, now=self._clock())
        unpublished = self._publish(formed, first=first)
        for batch in unpublished:
            ledger.return_unpublished(self._database, batch.id, now=self._clock())
        return Sent.NOT_ALL if unpublished else Sent.ALL

    def _publish(self, formed: Sequence[Batch], *, first: bool) -> Sequence[Batch]:
        """Publish until an attempt fails. Returns the batches that were not published."""
        for position, batch in enumerate(formed):
            try:
                self._transport.publish(batch.id, batch.images, first=first)
            except (BrokerError, RedisError, OSError) as error:
                self._log_redis_unavailable(error)
                return formed[position:]
        return ()

    def _is_redis_available(self) -> bool:
        try:
            self._transport.ping()
        except (RedisError, OSError) as error:
            self._log_redis_unavailable(error)
            return False
        self._redis_unavailable = False
        return True

    def _log_redis_unavailable(self, error: Exception) -> None:
        if not self._redis_unavailable:
            log.warning(
                "Redis is unavailable: images wait in the database until it is back",
                extra={"error": type(error).__name__},
            )
        self._redis_unavailable = True
