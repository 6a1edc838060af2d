"""A worker that runs and does nothing at all: no heartbeat reaches the record."""

import math

from sqlalchemy.exc import SQLAlchemyError

from cli.embedded.children import worker_node
from cli.embedded.supervisor import Child
from db import queries
from db.engine import Database
from nightread.clock import Clock, utc_now

SILENT_SECONDS = 120.0
"""A heartbeat is due every ten seconds."""


class SilentWorker:
    """Ends a worker that hangs, at the second look in a row: after a database was away it gets the time to beat."""

    def __init__(self, worker: Child, database: Database, clock: Clock = utc_now) -> None:
        self._worker = worker
        self._database = database
        self._clock = clock
        self._was_silent = False

    def look(self) -> bool:
        """Look, half a minute after the last time. Returns whether the worker was ended."""
        silent = self._worker.seconds > SILENT_SECONDS and self._silence() > SILENT_SECONDS
        ended = silent and self._was_silent
        if ended:
            self._worker.kill()
        self._was_silent = silent and not ended
        return ended

    def _silence(self) -> float:
        """Seconds since it was last heard of; 0 where the record cannot tell."""
        try:
            known = queries.workers(self._database, now=self._clock())
        except SQLAlchemyError:
            return 0.0
        return min((row.heartbeat_seconds for row in known if row.node == worker_node()), default=math.inf)
