"""What `run` and `up` stand on: state, Redis, database and worker, started in order and ended in order."""

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
from cli.embedded.state_folder import held
from cli.embedded.supervisor import Child, end
from db import ledger, queries, schema
from db.engine import Database, open_database
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from nightread.clock import utc_now
from nightread.errors import StopWork
from nightread.gc_freeze import freeze_gc
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import Settings
from producer.dispatcher.dispatch import Dispatcher
from producer.dispatcher.singleton import only_dispatcher
from producer.dispatcher.transport import Transport

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_RETRY = RetryPolicy(errors=(SQLAlchemyError,), pause_seconds=_LOOK_SECONDS)
_REST_PER_COUNT = 20
"""Counting half a million waiting images takes as long as analysing a batch: at most a twentieth of one core."""
_PATIENCE_SECONDS = 60.0
_STOP_SECONDS = 7.0
"""Of the 10 in which Ctrl-C must have stopped everything."""
_DEATHS_ALLOWED = 3
_REFUSAL = "this worker cannot work: "


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What everything else stands on."""

    settings: Settings
    """With the Redis in force."""
    database: Database
    servers: Sequence[Child]
    """Embedded ones, which run already and are to be looked after."""


@contextmanager
def prepared_environment(settings: Settings) -> Iterator[Environment]:
    """Hold the state folder, run what is embedded, and bring the database to the newest version."""
    with ExitStack() as stack:
        stack.enter_context(held(settings.state_dir))
        embedded = settings.embedded_redis
        servers = []
        if embedded:
            url, server = stack.enter_context(running_redis(settings))
            servers.append(server)
            settings = settings.model_copy(update={"redis_url": SecretStr(url)})
        database = open_database(settings.sql_url)
        stack.callback(database.close)
        schema.upgrade(database)
        if embedded and settings.database_url is None:
            # We hold the lock and Redis is empty: whatever was queued or running when we ended is to be done again.
            ledger.reset_unfinished(database, now=utc_now())
        yield Environment(settings=settings, database=database, servers=servers)


@contextmanager
def running(children: Sequence[Child]) -> Iterator[None]:
    """Keep the children for as long as the context lasts."""
    try:
        for member in children:
            member.start()
        yield
    finally:
        end(children, seconds=_STOP_SECONDS)


@dataclass
class _Progress:
    """Notices once a minute that nothing moves."""

    unfinished: int = -1
    since: float = 0.0

    def stands_still(self, unfinished: int) -> bool:
        """Whether the number has been the same for a minute, or a further one."""
        now = time.monotonic()
        if unfinished != self.unfinished or now - self.since >= _PATIENCE_SECONDS:
            stood = unfinished == self.unfinished
            self.unfinished, self.since = unfinished, now
            return stood
        return False


@dataclass(kw_only=True)
class Pipeline:
    """A dispatcher in this process and a worker beside it, for the work that is there now."""

    database: Database
    transport: Transport
    dispatcher: Dispatcher
    children: Sequence[Child]
    still_ours: Callable[[], None]
    """Raises StopWork once the dispatcher's lock is lost."""
    report: Callable[[str], None]
    """Hears of what an operator should know."""

    def dispatch(self) -> float:
        """Publish what may go; returns the seconds until the next look."""
        return self.dispatcher.tick()

    def drain(self, source_ids: Sequence[int], show_unfinished: Callable[[int], None]) -> None:
        """Dispatch until every arrival of these sources has its outcome.

        Raises StopWork when a child does not stay up, or another dispatcher may have taken over.
        """
        count_at, progress = 0.0, _Progress()
        paused: frozenset[str] = frozenset()

        def dispatch_and_count() -> float | None:
            """Seconds until the next look; None at the end."""
            nonlocal count_at, paused
            self._look_after_children()
            self.still_ours()
            wait = self.dispatcher.tick()
            if (began := time.monotonic()) >= count_at:
                unfinished = queries.unfinished(self.database, source_ids)
                count_at = time.monotonic() + max(_LOOK_SECONDS, _REST_PER_COUNT * (time.monotonic() - began))
                show_unfinished(unfinished)
                if unfinished == 0:
                    return None
                if progress.stands_still(unfinished):
                    self.report(f"{unfinished} images wait, none was finished for a minute: see `nightread status`")
                paused = self._say_if_paused(paused)
            return wait

        outage, pause = OutageLog(log), self.transport.wait_for_notification
        while (wait := retry_while_unavailable(dispatch_and_count, _RETRY, outage, wait=pause)) is not None:
            pause(min(wait, _LOOK_SECONDS))

    def _say_if_paused(self, known: frozenset[str]) -> frozenset[str]:
        """A run that is paused by a person or for want of room says so once, and goes on when that is over."""
        pauses = queries.pauses(self.database)
        for pause in pauses:
            if pause.cause not in known:
                self.report(f"dispatch is paused ({pause.cause}: {pause.detail}): `nightread status` says what to do")
        return frozenset(pause.cause for pause in pauses)

    def _look_after_children(self) -> None:
        for member in self.children:
            event = member.look_after()
            if event is not None:
                self.report(event)
            if member.restarts >= _DEATHS_ALLOWED:
                raise StopWork(f"The {member.name} does not stay up. {_last_refusal(member)}")


@contextmanager
def pipeline(settings: Settings, *, with_worker: bool, report: Callable[[str], None]) -> Iterator[Pipeline]:
    """The whole embedded pipeline but for what is to be analysed. Raises StopWork, UsageFault."""
    with (
        prepared_environment(settings) as environment,
        only_dispatcher(environment.database, settings.state_dir) as still_ours,
    ):
        url = environment.settings.require_redis_url()
        transport = Transport(make_celery(url, settings), open_redis(url))
        workers = (
            [child("worker", worker_arguments(settings, _worker_name(settings)), environment.settings)]
            if with_worker
            else []
        )
        with running(workers):
            freeze_gc()
            yield Pipeline(
                database=environment.database,
                transport=transport,
                dispatcher=Dispatcher(environment.database, transport, settings),
                children=[*environment.servers, *workers],
                still_ours=still_ours,
                report=report,
            )


def _last_refusal(member: Child) -> str:
    """Why the child says that it cannot work, else where to look."""
    lines = member.log_file.read_text("utf-8", "replace").splitlines()
    refusals = [line.partition(_REFUSAL)[2] for line in lines if _REFUSAL in line]
    return refusals[-1] if refusals else f"{member.log_file} says why."


def _worker_name(settings: Settings) -> str:
    """On servers that others use there may be a worker of this host that stays: this one is another."""
    alone = settings.embedded_redis and settings.database_url is None
    return "nightread" if alone else f"run-{os.getpid()}"
