"""Start and stop what `run` and `up` need: state folder, Redis, database and worker."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from cli.embedded.children import child, worker_arguments
from cli.embedded.redis_server import running_redis
from cli.embedded.state_folder import locked_state_folder
from cli.embedded.supervisor import Child, end
from cli.night_calendar import keep_night_calendar
from cli.wording import counted
from db import ledger, queries, schema
from db.engine import Database, open_database
from db.heartbeat_timer import HeartbeatTimer, sent_heartbeats
from db.ledger import PartKind
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from nightread.clock import utc_now
from nightread.errors import StopWork
from nightread.gc_freeze import freeze_gc
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import Settings
from producer.dispatcher.dispatch import Dispatcher
from producer.dispatcher.seen_parts import SeenParts
from producer.dispatcher.singleton import only_dispatcher
from producer.dispatcher.transport import Transport

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_RETRY = RetryPolicy(errors=(SQLAlchemyError,), pause_seconds=_LOOK_SECONDS)
_WAIT_PER_COUNT = 20
"""The pause after a count, as a multiple of the time that the count took: counting then uses at most a twentieth of one
core. To count half a million waiting images takes as long as to analyse a batch."""
_STALLED_SECONDS = 60.0
_STOP_SECONDS = 7.0
"""Time for child processes to stop: a part of the 10 s in which Ctrl-C must stop everything."""
_RESTARTS_ALLOWED = 3
_REFUSAL = "this worker cannot work: "


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Settings, database and embedded servers, ready to be used."""

    settings: Settings
    """The settings with the URL of the Redis in use."""
    database: Database
    servers: Sequence[Child]
    """Embedded servers; they run already, and the caller supervises them."""


@contextmanager
def prepared_environment(settings: Settings) -> Iterator[Environment]:
    """Lock the state folder, start the embedded servers, and migrate the database to the newest schema."""
    with ExitStack() as stack:
        stack.enter_context(locked_state_folder(settings.state_dir))
        embedded = settings.embedded_redis
        servers = []
        if embedded:
            url, server = stack.enter_context(running_redis(settings))
            servers.append(server)
            settings = settings.model_copy(update={"redis_url": SecretStr(url)})
        database = open_database(settings.sql_url)
        stack.callback(database.close)
        schema.upgrade(database)
        keep_night_calendar(database, settings)
        if embedded and settings.database_url is None:
            # This process holds the lock and Redis is empty, so all work that was queued or running must be done again.
            ledger.reset_unfinished(database, now=utc_now())
        yield Environment(settings=settings, database=database, servers=servers)


@contextmanager
def running(children: Sequence[Child]) -> Iterator[None]:
    """Start the child processes, and stop them at the end of the context."""
    try:
        for member in children:
            member.start()
        yield
    finally:
        end(children, seconds=_STOP_SECONDS)


@dataclass
class _Progress:
    """Detects that no image was finished for a minute."""

    unfinished: int = -1
    since: float = 0.0

    def is_stalled(self, unfinished: int) -> bool:
        """Return True once for each minute in which the number of unfinished images did not change."""
        now = time.monotonic()
        if unfinished != self.unfinished or now - self.since >= _STALLED_SECONDS:
            unchanged = unfinished == self.unfinished
            self.unfinished, self.since = unfinished, now
            return unchanged
        return False


@dataclass(kw_only=True)
class Pipeline:
    """A dispatcher in this process and a worker as a child process, for the images that are registered now."""

    database: Database
    transport: Transport
    dispatcher: Dispatcher
    servers: Sequence[Child]
    workers: Sequence[Child]
    require_lock: Callable[[], None]
    """Raises StopWork if the dispatcher's lock was lost."""
    report: Callable[[str], None]
    """Called with each message for the operator."""

    def dispatch(self) -> float:
        """Publish the batches that may be sent; return the seconds until the next call."""
        return self.dispatcher.tick()

    def drain(self, scope: queries.ArrivalScope, show_unfinished: Callable[[int], None]) -> None:
        """Dispatch until all arrivals in `scope` have an outcome and all series have a result; see `drain_until`."""
        self.drain_until(lambda: queries.unfinished(self.database, scope), show_unfinished, goes_on=self._has_more)

    def drain_until(
        self,
        count_unfinished: Callable[[], int],
        show_unfinished: Callable[[int], None],
        goes_on: Callable[[int], bool] = bool,
    ) -> None:
        """Dispatch until `goes_on` returns False for the number of unfinished images, which is counted again and again.

        Raises StopWork if a child process keeps ending, or if another dispatcher may have taken over.
        """
        count_at, progress, was_idle = 0.0, _Progress(), False
        paused: frozenset[int] = frozenset()

        def dispatch_and_count() -> float | None:
            """Dispatch, and count the unfinished images if the next count is due.

            Returns the maximum number of seconds before the next call; None if no further call is needed.
            """
            nonlocal count_at, paused, was_idle
            self._supervise_children()
            self.require_lock()
            wait = min(_LOOK_SECONDS, self.dispatcher.tick())
            became_idle, was_idle = self.dispatcher.is_idle and not was_idle, self.dispatcher.is_idle
            if (
                began := time.monotonic()
            ) < count_at and not became_idle:  # if idle, count now: series are formed after a count
                return min(wait, count_at - began)
            unfinished = count_unfinished()
            show_unfinished(unfinished)
            if not goes_on(unfinished):
                return None
            count_at = began + (1 + _WAIT_PER_COUNT) * (time.monotonic() - began)
            if progress.is_stalled(unfinished):
                self.report(
                    f"{counted(unfinished, 'image')} unfinished; none was finished in the last minute: "
                    "see `nightread status`"
                )
            paused = self._report_pauses(paused)
            return wait

        outage, pause = OutageLog(log), self.transport.wait_for_notification
        while (wait := retry_while_unavailable(dispatch_and_count, _RETRY, outage, wait=pause)) is not None:
            pause(wait)

    def _has_more(self, unfinished: int) -> bool:
        """Return False if all arrivals have an outcome and all series have a result."""
        if unfinished == 0:
            return self.forms_series()
        if queries.waiting_slices(self.database) >= unfinished:
            self.forms_series()  # only slices are left, and they wait for their series
        return True

    def forms_series(self) -> bool:
        """Mark all series as due, because no more slices come. Returns False if no series is left to be formed."""
        if not queries.unformed_series(self.database):
            return False
        if ledger.mark_all_due(self.database):
            self.dispatcher.series_scheduler.publish()
        return True

    def stop_worker(self) -> None:
        """Ask the worker to end, without waiting for it. The context manager `pipeline` waits for it later."""
        for member in self.workers:
            member.ask_to_end()

    def _report_pauses(self, known: frozenset[int]) -> frozenset[int]:
        """Report each new pause once, and return the ids of all active pauses."""
        pauses = queries.pauses(self.database)
        for pause in pauses:
            if pause.id not in known:
                what = "dispatch" if pause.source is None else f"the source {pause.source}"
                self.report(f"{what} is paused ({pause.cause}: {pause.detail}): see `nightread status`")
        return frozenset(pause.id for pause in pauses)

    def _supervise_children(self) -> None:
        for member in (*self.servers, *self.workers):
            event = member.supervise()
            if event is not None:
                self.report(event)
            if member.restarts >= _RESTARTS_ALLOWED:
                raise StopWork(f"The {member.name} ended {member.restarts} times. {_last_refusal(member)}")


@contextmanager
def pipeline(settings: Settings, *, with_worker: bool, report: Callable[[str], None]) -> Iterator[Pipeline]:
    """Run the whole embedded pipeline, without sources. Raises StopWork, UsageFault."""
    with (
        prepared_environment(settings) as environment,
        only_dispatcher(environment.database, settings.state_dir) as require_lock,
    ):
        url = environment.settings.require_redis_url()
        transport = Transport(make_celery(url, settings), open_redis(url))
        workers = (
            [child("worker", worker_arguments(settings, _worker_name(settings)), environment.settings)]
            if with_worker
            else []
        )
        timer = HeartbeatTimer(environment.database, PartKind.DISPATCHER, seen=SeenParts(open_redis(url)).look)
        with running(workers), sent_heartbeats(timer):
            freeze_gc()
            yield Pipeline(
                database=environment.database,
                transport=transport,
                dispatcher=Dispatcher(environment.database, transport, settings),
                servers=environment.servers,
                workers=workers,
                require_lock=require_lock,
                report=report,
            )


def _last_refusal(member: Child) -> str:
    """Return the last reason that the child process logged, else the path of its log."""
    lines = member.log_file.read_text("utf-8", "replace").splitlines()
    refusals = [line.partition(_REFUSAL)[2] for line in lines if _REFUSAL in line]
    return refusals[-1] if refusals else f"See its log: {member.log_file}"


def _worker_name(settings: Settings) -> str:
    """Return the name of the worker.

    The name is unique if Redis or database is shared, because this host may already have a worker that uses them.
    """
    is_private = settings.embedded_redis and settings.database_url is None
    return "nightread" if is_private else f"run-{os.getpid()}"
