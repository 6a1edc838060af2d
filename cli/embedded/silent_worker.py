"""Kill a worker that runs but sends no heartbeats."""

import math

from sqlalchemy.exc import SQLAlchemyError

from cli.embedded.children import worker_node
from cli.embedded.supervisor import Child
from db import queries
from db.engine import Database
from nightread.clock import Clock, utc_now

SILENT_SECONDS = 120.0
"""Seconds without a heartbeat after which a worker counts as silent; a heartbeat is due every ten seconds."""


class SilentWorker:
    """Kills a worker that was silent at two checks in a row.

    One check is not enough, because after an outage of the database the first check may come before the first
    heartbeat.
    """

    def __init__(self, worker: Child, database: Database, clock: Clock = utc_now) -> None:
        self._worker = worker
        self._database = database
        self._clock = clock
        self._was_silent = False

    def check(self) -> bool:
        """Check the worker; call this about every half minute. Returns whether the worker was killed."""
        silent = self._worker.seconds > SILENT_SECONDS and self._silence() > SILENT_SECONDS
        killed = silent and self._was_silent
        if killed:
            self._worker.kill()
        self._was_silent = silent and not killed
        return killed

    def _silence(self) -> float:
        """Return the seconds since the last heartbeat; 0 if the database is unavailable."""
        try:
            known = queries.workers(self._database, now=self._clock())
        except SQLAlchemyError:
            return 0.0
        return min((row.heartbeat_seconds for row in known if row.node == worker_node()), default=math.inf)
