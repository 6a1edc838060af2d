"""Detect that this worker is connected to Redis but takes no batches, and exit, so that its supervisor restarts it."""

import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.engine import Database
from nightread.contract import BATCH_LISTS

log = logging.getLogger(__name__)

STALLED_SECONDS = 60
"""If a batch waits longer than this although the worker is idle, the worker does not receive messages."""
_STALLED_CHECKS = 2


class Watchdog:
    """Checks at every heartbeat of the parent whether batches wait that this idle worker should have taken.

    Celery has had several bugs in which a worker received no messages after a reconnect to Redis (celery issues #8030
    and #8990, kombu issue #2492).
    """

    def __init__(
        self,
        database: Database,
        redis: Redis,
        *,
        node: str,
        seconds_at_work: Callable[[], float],
        stop_process: Callable[[], None] | None = None,
    ) -> None:
        """Create a watchdog. `seconds_at_work` returns the seconds since the first process had loaded its networks.

        Until then the worker cannot take a batch.
        """
        self._database = database
        self._redis = redis
        self._node = node
        self._seconds_at_work = seconds_at_work
        self._stop_process = stop_process or _exit_process
        self._stalled_checks = 0

    def check(self, now: datetime) -> None:
        """Check once, and end the process if this and the previous check found the worker stalled.

        A check during which the database or Redis is unavailable counts as not stalled.
        """
        try:
            stalled = self._is_stalled(now)
        except (SQLAlchemyError, RedisError, OSError) as error:
            log.debug("watchdog check skipped", extra={"error": type(error).__name__})
            stalled = False
        self._stalled_checks = self._stalled_checks + 1 if stalled else 0
        if self._stalled_checks >= _STALLED_CHECKS:
            log.critical("batches wait and this idle worker takes none: it exits, and its supervisor restarts it")
            self._stop_process()

    def _is_stalled(self, now: datetime) -> bool:
        if self._seconds_at_work() < STALLED_SECONDS:
            return False
        if not queries.unclaimed_batches(self._database, created_before=now - timedelta(seconds=STALLED_SECONDS)):
            return False
        if queries.batches_of(self._database, self._node):
            return False
        return any(self._redis.llen(name) for name in BATCH_LISTS)


def _exit_process() -> None:
    """Exit at once. No batch is running here, and a stalled worker may not react to a signal."""
    os._exit(1)
