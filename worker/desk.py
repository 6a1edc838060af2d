"""What one worker process has at hand: opened once, after the fork."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from redis import Redis

from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import Claimed, WorkerProcess
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from db.same_clock import require_same_clock
from imaging.limits import Limits
from imaging.patient import PatientHasher
from nightread.clock import Clock, utc_now
from nightread.collector import keep_out_of_collections
from nightread.hardware import gpus
from nightread.settings import Settings
from nightread.site_key import load_site_key
from nightread.wake import open_redis, wake_dispatcher
from worker.blackbox import BlackBox, InFlight, Seat
from worker.device import tune_process
from worker.errors import BatchTakenError
from worker.fetch_web import Stores
from worker.giving_back import give_back_predecessor
from worker.panel import Panel, open_panel, renewed
from worker.rehearsal import Rehearsal

log = logging.getLogger(__name__)

T = TypeVar("T")
START_RETRY = RetryPolicy(give_up_after_seconds=120)
"""Celery takes a process that has not started after three minutes for dead."""


@dataclass(kw_only=True)
class Desk:
    """One process's connections, network and knobs."""

    settings: Settings
    database: Database
    redis: Redis
    process: WorkerProcess
    limits: Limits
    patient: PatientHasher
    panel: Panel
    ahead: Executor | None = None
    """One thread in which the network works while this one decodes what comes next; None: they take turns."""
    seat: Seat = field(default_factory=lambda: BlackBox().seat(0))
    rehearsal: Rehearsal = field(init=False)
    stores: Stores = field(init=False)
    clock: Clock = utc_now
    _renewed_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Open no reading room yet, ask no store, and start no thread."""
        self.rehearsal = Rehearsal(self.settings, self.limits, note_death=self.seat.note_death)
        self.stores = Stores(self.settings)

    @property
    def lease(self) -> timedelta:
        """How long a batch stays ours without progress."""
        return timedelta(seconds=self.settings.lease_seconds)

    def follow_rules(self) -> None:
        """Load and drop networks where the routing rules have changed since. Raises StopWork."""
        before, self.panel = self.panel, renewed(self.panel, self.settings, self.database)
        if self.panel is not before:
            del before
            keep_out_of_collections()  # or the memory of a network that was dropped would never come back

    def in_flight(self, image: Claimed) -> InFlight:
        """Name the image that is being read inside, should this process die of it.

        No image is named where a network works beside in a thread: either of the two may have ended the process.
        """
        return self.seat.in_flight(image.work_id if self.ahead is None else 0)

    def end_rehearsals(self) -> None:
        """Nobody was suspected for a while: the two processes of the reading room are not kept for ever."""
        if not self.seat.must_be_careful():
            self.rehearsal.close_if_unused()

    def wake_dispatcher(self) -> None:
        """There is room in the queue."""
        self._renewed_at = time.monotonic()
        wake_dispatcher(self.redis)

    def retry_while_unavailable(self, transaction: Callable[[], T]) -> T:
        """Retry for half a lease at most, so that results which are ready are not lost to a short outage."""
        policy = RetryPolicy(give_up_after_seconds=self.settings.lease_seconds / 2)
        return retry_while_unavailable(transaction, policy, OutageLog(log))

    def keep_lease(self, batch_id: str) -> None:
        """Called after each piece of progress: renews the lease once a quarter is over. Raises BatchTakenError."""
        now = time.monotonic()
        if now - self._renewed_at < self.settings.lease_seconds / 4:
            return
        if ledger.renew(self.database, batch_id, lease=self.lease, now=self.clock()) == 0:
            raise BatchTakenError
        self._renewed_at = now


def open_desk(settings: Settings, redis_url: str, process: WorkerProcess, seat: Seat) -> Desk:
    """Connect, give back what the process before us died on, load the network. Raises StopWork."""
    in_hand = seat.move_in()
    tune_process(settings, process.index)
    database = open_database(settings.sql_url)
    # A process that refused to start for an outage would end the whole worker.
    retry_while_unavailable(lambda: schema.require_newest(database), START_RETRY, OutageLog(log))
    require_same_clock(database)
    give_back_predecessor(database, process, in_hand=in_hand)
    return Desk(
        settings=settings,
        database=database,
        redis=open_redis(redis_url),
        process=process,
        limits=Limits(
            file_bytes=settings.max_file_bytes,
            frame_pixels=settings.max_frame_pixels,
            object_bytes=settings.max_object_bytes,
        ),
        patient=PatientHasher(load_site_key(settings)),
        panel=open_panel(settings, database),
        ahead=ThreadPoolExecutor(1, "network") if _decodes_ahead(settings) else None,
        seat=seat,
    )


def _decodes_ahead(settings: Settings) -> bool:
    """A GPU works while its process decodes; on a CPU both would only share the one core that the process has."""
    return bool(gpus(settings)) if settings.decode_ahead is None else settings.decode_ahead
