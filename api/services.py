"""Run the services that all requests share: intake, waiting for outcomes, keys and messages."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from api.authentication import Authentication
from api.context import ApiContext
from api.file_exports import FileExports
from api.intake.intake import SubmissionIntake
from api.intake.upkeep import Upkeep
from api.keys import KeyRing
from api.outcome_events import OutcomeEvents
from api.redis_messages import RedisMessages
from api.threads import SUBMIT_THREADS, Threads, divide_threads
from api.waiting import OutcomeWaiters
from nightread.log import place_of

log = logging.getLogger(__name__)

_ROUND_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiServices:
    """The running services of the API (`request.app.state.services`)."""

    intake: SubmissionIntake
    waiters: OutcomeWaiters
    authentication: Authentication
    events: OutcomeEvents
    exports: FileExports
    submit_threads: Threads
    """Threads for requests that send images, so that these never wait for requests that read."""
    messages: RedisMessages | None
    """The messages from and to Redis. None without Redis: the dispatcher then finds new images within a second."""
    loop: asyncio.AbstractEventLoop
    failed: asyncio.Event
    """Set when a service ended by itself; the API then stops."""

    def notify_dispatcher(self) -> None:
        """Tell the dispatcher that there is work; any thread may call this."""
        if self.messages is not None:
            self.loop.call_soon_threadsafe(self.messages.notify_dispatcher)

    def wake_waiters(self) -> None:
        """Let waiting requests look for outcomes, after the API itself recorded one. Any thread may call this."""
        self.loop.call_soon_threadsafe(self.waiters.wake)

    def end_waits(self) -> None:
        """Respond to all clients that wait, and end all streams of events, because the API stops."""
        self.waiters.end()
        self.events.end()


async def services_of(request: Request) -> ApiServices:
    """Return the services of the application that serves this request."""
    services: ApiServices = request.app.state.services
    return services


Services = Annotated[ApiServices, Depends(services_of)]
"""The type of a handler's parameter that receives the services."""


@asynccontextmanager
async def running_services(context: ApiContext) -> AsyncIterator[ApiServices]:
    """Run the services within the context. Raises UsageFault if another API uses the same database or spool."""
    divide_threads(context.settings.api_connections)
    own = context.settings.api_key
    keys = KeyRing(context.database, token=own.get_secret_value() if own else None, clock=context.clock)
    waiters = OutcomeWaiters(context.database)
    events = OutcomeEvents(context.database)

    def on_outcomes(batch_id: str) -> None:
        waiters.wake()
        events.note(batch_id)

    messages = RedisMessages(context.redis_url, on_outcomes, events.tell_missed) if context.redis_url else None
    intake = SubmissionIntake(
        context.settings,
        context.database,
        clock=context.clock,
        on_registered=messages.notify_dispatcher if messages else _nobody_to_notify,
    )
    exports, submit_threads = FileExports(), Threads(SUBMIT_THREADS, "submit")
    with intake.opened(), exports.running(), submit_threads.running():
        upkeep = Upkeep(context.settings, context.database, intake, keys, clock=context.clock)
        jobs = [intake.committer.run(), waiters.run(), events.run(), upkeep.run(), _rounds(context.on_round)]
        if messages is not None:
            jobs += [messages.send(), messages.listen()]
        failed = asyncio.Event()
        async with _running(jobs, failed):
            yield ApiServices(
                intake=intake,
                waiters=waiters,
                authentication=Authentication(keys, address=context.settings.api_address),
                events=events,
                exports=exports,
                submit_threads=submit_threads,
                messages=messages,
                loop=asyncio.get_running_loop(),
                failed=failed,
            )
        await asyncio.to_thread(upkeep.end)


@asynccontextmanager
async def _running(jobs: list[Coroutine[None, None, None]], failed: asyncio.Event) -> AsyncIterator[None]:
    """Run the jobs until the end of the context. `failed` is set if one of them ends earlier."""
    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(partial(_note_end, failed))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def _rounds(on_round: Callable[[], None]) -> None:
    """Call `on_round` once a second. The calls stop if the event loop hangs."""
    while True:
        on_round()
        await asyncio.sleep(_ROUND_SECONDS)


def _note_end(failed: asyncio.Event, task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        error = task.exception()
        where = f": {type(error).__name__} at {place_of(error)}" if error else ""
        log.critical("a service of the API ended, so the API stops%s", where)
        failed.set()


def _nobody_to_notify() -> None:
    """Do nothing: without Redis the dispatcher looks for new images by itself."""
