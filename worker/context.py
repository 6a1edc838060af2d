"""Open everything that one worker process needs, once after the fork."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from redis import Redis

from db import ledger, queries, schema
from db.clock_skew import require_clock_agreement
from db.engine import Database, open_database
from db.ledger import Claimed, WorkerProcess
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from imaging.limits import Limits
from imaging.patient import NumberKind, PatientHasher
from nightread.clock import Clock, utc_now
from nightread.gc_freeze import freeze_gc
from nightread.hardware import gpus
from nightread.notify import announce_outcomes, notify_dispatcher, open_redis
from nightread.settings import Settings
from nightread.site_key import load_site_key
from worker.decoders.pool import DecodePool
from worker.errors import BatchTakenError
from worker.fetching.stores import Stores
from worker.former_contents import FormerContents
from worker.inference.device import tune_process
from worker.inference.model_set import ModelSet, open_model_set, reload_model_set
from worker.inference.rerun_models import RerunModels
from worker.isolation.in_flight import InFlight, InFlightTable, Slot
from worker.isolation.trial_read import TrialReader
from worker.lifecycle.requeue import requeue_dead_predecessor

log = logging.getLogger(__name__)

T = TypeVar("T")
START_RETRY = RetryPolicy(give_up_after_seconds=120)
"""A start gives up after two minutes with an error message: after three, Celery would kill the process without one."""


@dataclass(kw_only=True)
class WorkerContext:
    """Settings, connections, loaded models and helpers of one worker process."""

    settings: Settings
    database: Database
    redis: Redis
    process: WorkerProcess
    limits: Limits
    patient: PatientHasher
    model_set: ModelSet
    network_thread: Executor | None = None
    """One thread that runs the networks while the main thread decodes the next frames. If None, the main thread does
    both in turn."""
    decode_pool: DecodePool | None = None
    """Processes that read and prepare images for this process. If None, this process does it itself."""
    slot: Slot = field(default_factory=lambda: InFlightTable().slot(0))
    trial_reader: TrialReader = field(init=False)
    stores: Stores = field(init=False)
    former_contents: FormerContents = field(init=False)
    rerun_models: RerunModels = field(init=False)
    clock: Clock = utc_now
    _stored_issuers: set[tuple[NumberKind, str]] = field(default_factory=set)
    _renewed_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Create the trial reader and the stores. Neither starts a process, a thread or a connection yet."""
        self.trial_reader = TrialReader(self.settings, self.limits, record_death=self.slot.record_death)
        self.stores = Stores(self.settings)
        self.former_contents = FormerContents(self.database, self.clock)
        self.rerun_models = RerunModels(self.settings, self.database, self.clock)

    @property
    def lease(self) -> timedelta:
        """Return the time after which a batch without progress is given to another process."""
        return timedelta(seconds=self.settings.lease_seconds)

    def reload_routes(self) -> None:
        """Load and drop networks if the routing rules have changed. Raises StopWork."""
        before, self.model_set = self.model_set, reload_model_set(self.model_set, self.settings, self.database)
        if self.model_set is not before:
            del before
            self.open_decode_pool()
            freeze_gc()  # frees the dropped network, which the earlier freeze had excluded from garbage collection

    @contextmanager
    def only_models(self, model_set: ModelSet) -> Iterator[None]:
        """Use these models instead of the routed ones inside the `with` statement.

        The decoder processes are not used meanwhile, because they know only the routed models.
        """
        routed, decode_pool = self.model_set, self.decode_pool
        self.model_set, self.decode_pool = model_set, None
        try:
            yield
        finally:
            self.model_set, self.decode_pool = routed, decode_pool

    def open_decode_pool(self) -> None:
        """Start decoder processes for the loaded models if the settings ask for them. End earlier processes first."""
        if self.decode_pool is not None:
            self.decode_pool.close()
            self.decode_pool = None
        if self.settings.decoders:
            try:
                self.decode_pool = DecodePool(
                    self.settings, self.limits, self.model_set, record_death=self.slot.record_death
                )
            except OSError as error:
                log.warning("this process decodes all images itself, although NIGHTREAD_DECODERS is set: %s", error)

    def reload_opt_outs(self) -> None:
        """Read the list of patients who opted out."""
        self.patient.opt_out(queries.opted_out_keys(self.database))

    def store_issuers(self) -> None:
        """Store the issuers of patient and accession numbers that this process has not stored before."""
        seen = self.patient.issuers - self._stored_issuers
        if seen:
            self.retry_while_unavailable(lambda: ledger.remember_issuers(self.database, seen, now=self.clock()))
            self._stored_issuers |= seen

    def in_flight(self, image: Claimed) -> InFlight:
        """Return a context manager that marks the image as in flight, in case reading it kills this process.

        If a network runs in a thread at the same time, no image is marked, because a death could come from the image or
        from the network.
        """
        return self.slot.in_flight(image.work_id if self.network_thread is None else 0)

    def close_unused_trial_process(self) -> None:
        """End the two processes of the trial reader if no process died for 300 s, and no image used them for 60 s."""
        if not self.slot.is_cautious():
            self.trial_reader.close_if_unused()

    def notify_dispatcher(self) -> None:
        """Tell the dispatcher, after a claim, that another batch may be published.

        This also notes the time at which the lease of the claimed batch began.
        """
        self._renewed_at = time.monotonic()
        notify_dispatcher(self.redis)

    def announce_outcomes(self, batch_id: str) -> None:
        """Tell the dispatcher and the API that the outcomes of this batch are committed."""
        announce_outcomes(self.redis, batch_id)

    def retry_while_unavailable(self, transaction: Callable[[], T]) -> T:
        """Run the transaction, and retry it for at most half a lease, so that a short outage costs no results."""
        policy = RetryPolicy(give_up_after_seconds=self.settings.lease_seconds / 2)
        return retry_while_unavailable(transaction, policy, OutageLog(log))

    def keep_lease(self, batch_id: str) -> None:
        """Renew the lease if a quarter of it has passed. Call this after each step of progress.

        Raises BatchTakenError if another process has the images.
        """
        now = time.monotonic()
        if now - self._renewed_at < self.settings.lease_seconds / 4:
            return
        if ledger.renew(self.database, batch_id, lease=self.lease, now=self.clock()) == 0:
            raise BatchTakenError
        self._renewed_at = now


def open_context(settings: Settings, redis_url: str, process: WorkerProcess, slot: Slot) -> WorkerContext:
    """Connect to database and Redis, requeue the images of the predecessor of this process, and load the networks.

    Raises StopWork.
    """
    work_in_flight = slot.take_over()
    tune_process(settings, process.index)
    database = open_database(settings.sql_url)
    # If this process failed to start during a short outage, the whole worker would end.
    retry_while_unavailable(lambda: schema.require_newest(database), START_RETRY, OutageLog(log))
    require_clock_agreement(database)
    requeue_dead_predecessor(database, process, work_in_flight=work_in_flight)
    context = WorkerContext(
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
        network_thread=ThreadPoolExecutor(1, "network") if _uses_network_thread(settings) else None,
        slot=slot,
    )
    context.open_decode_pool()
    return context


def _uses_network_thread(settings: Settings) -> bool:
    """Return whether networks run in a thread of their own. This helps on a GPU or with decoders, not on one core."""
    return bool(gpus(settings) or settings.decoders) if settings.decode_ahead is None else settings.decode_ahead
