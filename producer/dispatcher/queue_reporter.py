"""Report the state of the queue to Flower, at intervals that keep its cost low."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

from redis.exceptions import RedisError

from db import queries
from db.engine import Database
from db.queries import Pause
from nightread.clock import Clock
from nightread.queue_report import PauseReport, QueueReport
from producer.dispatcher.transport import Transport

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 4.0
_LONGEST_SECONDS = 30.0
_REST = 50
"""The pause after a report is this many times its duration, but at least 4 s and at most 30 s."""


class QueueReporter:
    """Writes a report to Redis when it is due."""

    def __init__(self, database: Database, transport: Transport, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._transport = transport
        self._clock = clock
        self._monotonic = monotonic
        self._due_at = float("-inf")
        self._pauses: Sequence[Pause] = ()

    def report(self, pauses: Sequence[Pause]) -> None:
        """Write a report if one is due, or at once if pauses began or ended. Raises errors of the database.

        While Redis is unavailable nothing is written; Flower then shows that it cannot reach Redis.
        """
        began = self._monotonic()
        if began < self._due_at and pauses == self._pauses:
            return
        counts = queries.queue_counts(self._database, now=self._clock())
        rest = min(_LONGEST_SECONDS, max(INTERVAL_SECONDS, _REST * (self._monotonic() - began)))
        self._due_at, self._pauses = self._monotonic() + rest, pauses
        reported = tuple(PauseReport(cause=p.cause.value, source_id=p.source_id, since=p.since) for p in pauses)
        try:
            self._transport.report(QueueReport(**asdict(counts), pauses=reported, next_seconds=rest))
        except (RedisError, OSError) as error:
            log.debug("the queue was not reported to Flower", extra={"error": type(error).__name__})
