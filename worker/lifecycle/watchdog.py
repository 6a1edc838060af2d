"""A worker that is connected and takes no batches: found out by itself, so that its supervisor starts it again."""

import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.engine import Database
from nightread.contract import BATCH_QUEUE

log = logging.getLogger(__name__)

STALLED_SECONDS = 60
"""A batch that waits for longer, in a queue that a worker with nothing to do listens to, is not being listened to."""
_LOOKS = 2


class Watchdog:
    """Looks at every heartbeat of the parent whether batches wait that this idle worker should have taken.

    The Redis transport has had several ways of going deaf after a reconnect (STACK: celery #8030, #8990; kombu #2492).
    """

    def __init__(
        self,
        database: Database,
        redis: Redis,
        *,
        node: str,
        seconds_at_work: Callable[[], float],
        end: Callable[[], None] | None = None,
    ) -> None:
        """`seconds_at_work`: since the first process had its network loaded; before that nobody can take a batch."""
        self._database = database
        self._redis = redis
        self._node = node
        self._seconds_at_work = seconds_at_work
        self._end = end or _end_this_process
        self._suspicious_looks = 0

    def look(self, now: datetime) -> None:
        """End the process at the second look in a row that finds it deaf; where nobody can be asked, look later."""
        try:
            deaf = self._is_deaf(now)
        except (SQLAlchemyError, RedisError, OSError) as error:
            log.debug("the watchdog could not look", extra={"error": type(error).__name__})
            deaf = False
        self._suspicious_looks = self._suspicious_looks + 1 if deaf else 0
        if self._suspicious_looks >= _LOOKS:
            log.critical("batches wait and this worker takes none of them: it ends, to be started again")
            self._end()

    def _is_deaf(self, now: datetime) -> bool:
        if self._seconds_at_work() < STALLED_SECONDS:
            return False
        if not queries.unclaimed_batches(self._database, created_before=now - timedelta(seconds=STALLED_SECONDS)):
            return False
        if queries.batches_of(self._database, self._node):
            return False
        return bool(self._redis.llen(BATCH_QUEUE))


def _end_this_process() -> None:
    """No batch is running here, and what is deaf may not hear a signal either."""
    os._exit(1)
