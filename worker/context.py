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
from db.clock_skew import require_clock_agreement
from db.engine import Database, open_database
from db.ledger import Claimed, WorkerProcess
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from imaging.limits import Limits
from imaging.patient import PatientHasher
from nightread.clock import Clock, utc_now
from nightread.gc_freeze import freeze_gc
from nightread.hardware import gpus
from nightread.notify import notify_dispatcher, open_redis
from nightread.settings import Settings
from nightread.site_key import load_site_key
from worker.errors import BatchTakenError
from worker.fetching.stores import Stores
from worker.inference.device import tune_process
from worker.inference.model_set import ModelSet, open_model_set, reloaded
from worker.isolation.in_flight import InFlight, InFlightTable, Slot
from worker.isolation.trial_read import TrialReader
from worker.lifecycle.requeue import requeue_predecessor

log = logging.getLogger(__name__)

T = TypeVar("T")
START_RETRY = RetryPolicy(give_up_after_seconds=120)
"""Celery takes a process that has not started after three minutes for dead."""


@dataclass(kw_only=True)
class WorkerContext:
    """One process's connections, network and knobs."""

    settings: Settings
    database: Database
    redis: Redis
    process: WorkerProcess
    limits: Limits
    patient: PatientHasher
    model_set: ModelSet
    network_thread: Executor | None = None
    """One thread in which the network works while this one decodes what comes next; None: they take turns."""
    slot: Slot = field(default_factory=lambda: InFlightTable().slot(0))
    trial_reader: TrialReader = field(init=False)
    stores: Stores = field(init=False)
    clock: Clock = utc_now
    _renewed_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Open no reading room yet, ask no store, and start no thread."""
        self.trial_reader = TrialReader(self.settings, self.limits, record_death=self.slot.record_death)
        self.stores = Stores(self.settings)

    @property
    def lease(self) -> timedelta:
        """How long a batch stays ours without progress."""
        return timedelta(seconds=self.settings.lease_seconds)

    def reload_routes(self) -> None:
        """Load and drop networks where the routing rules have changed since. Raises StopWork."""
        before, self.model_set = self.model_set, reloaded(self.model_set, self.settings, self.database)
        if self.model_set is not before:
            del before
            freeze_gc()  # or the memory of a network that was dropped would never come back

    def in_flight(self, image: Claimed) -> InFlight:
        """Name the image that is being read inside, should this process die of it.

        No image is named where a network works beside in a thread: either of the two may have ended the process.
        """
        return self.slot.in_flight(image.work_id if self.network_thread is None else 0)

    def close_unused_trial_process(self) -> None:
        """Nobody was suspected for a while: the two processes of the reading room are not kept for ever."""
        if not self.slot.is_cautious():
            self.trial_reader.close_if_unused()

    def notify_dispatcher(self) -> None:
        """There is room in the queue."""
        self._renewed_at = time.monotonic()
        notify_dispatcher(self.redis)

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


def open_context(settings: Settings, redis_url: str, process: WorkerProcess, slot: Slot) -> WorkerContext:
    """Connect, give back what the process before us died on, load the network. Raises StopWork."""
    work_in_flight = slot.take_over()
    tune_process(settings, process.index)
    database = open_database(settings.sql_url)
    # A process that refused to start for an outage would end the whole worker.
    retry_while_unavailable(lambda: schema.require_newest(database), START_RETRY, OutageLog(log))
    require_clock_agreement(database)
    requeue_predecessor(database, process, work_in_flight=work_in_flight)
    return WorkerContext(
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
        model_set=open_model_set(settings, database),
        network_thread=ThreadPoolExecutor(1, "network") if _decodes_ahead(settings) else None,
        slot=slot,
    )


def _decodes_ahead(settings: Settings) -> bool:
    """A GPU works while its process decodes; on a CPU both would only share the one core that the process has."""
    return bool(gpus(settings)) if settings.decode_ahead is None else settings.decode_ahead
