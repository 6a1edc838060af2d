"""Send outcomes to clients as server-sent events (HTML Living Standard, section 9.2)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from api.json_response import json_text
from api.whole_step import whole_step
from db import error_messages, queries
from db.engine import Database
from db.queries import ImageOutcome
from nightread.errors import StopWork

log = logging.getLogger(__name__)

MOST_CLIENTS = 50
KEEP_ALIVE_SECONDS = 15.0
_KEEP_ALIVE = ": keep-alive\n\n"
_BEGIN = "retry: 2000\nid: 1\n\n"
"""The id makes browsers send the header Last-Event-ID when they connect again. It names no event."""
_MISSED = "event: missed\ndata: {}\n\n"
_END = ""
_QUEUED_EVENTS = 10_000
_QUEUED_BATCHES = 1000


class OutcomeEvents:
    """Reads the outcomes of each recorded batch once for all clients, and reads nothing while there is no client.

    A client may miss events, for example while it is not connected. It then reads the outcomes from /v1/results.
    """

    def __init__(self, database: Database, *, keep_alive_seconds: float = KEEP_ALIVE_SECONDS) -> None:
        self._database = database
        self._keep_alive_seconds = keep_alive_seconds
        self._clients: set[asyncio.Queue[str]] = set()
        self._has_ended = False
        self._batches: asyncio.Queue[str] = asyncio.Queue(_QUEUED_BATCHES)

    @property
    def is_full(self) -> bool:
        """Return whether no further client may listen."""
        return len(self._clients) >= MOST_CLIENTS

    def note(self, batch_id: str) -> None:
        """Queue the id of a recorded batch, so that its outcomes are sent to the clients."""
        if self._clients:
            try:
                self._batches.put_nowait(batch_id)
            except asyncio.QueueFull:
                self._tell(_MISSED)

    def end(self) -> None:
        """End the streams of all clients, which may connect again later."""
        self._has_ended = True
        self._tell(_END)

    def tell_missed(self) -> None:
        """Tell the clients that they may have missed outcomes."""
        self._tell(_MISSED)

    async def listen(
        self, is_permitted: Callable[[], Awaitable[bool]], *, is_again: bool = False
    ) -> AsyncIterator[str]:
        """Yield events from now on. If the client reads too slowly, one event `missed` replaces all events that wait.

        A client that connects again (`is_again`) gets `missed` first, because nobody was told while it was away.
        `is_permitted` is called every 15 s. The stream ends if it returns False or fails.
        """
        queue: asyncio.Queue[str] = asyncio.Queue(_QUEUED_EVENTS)
        self._clients.add(queue)
        try:
            yield _BEGIN
            if is_again:
                yield _MISSED
            check_at = _now() + self._keep_alive_seconds
            while not self._has_ended:
                text = await _next(queue, check_at)
                if text == _KEEP_ALIVE:
                    if not await _holds(is_permitted):
                        return
                    check_at = _now() + self._keep_alive_seconds
                if text != _END:
                    yield text
        finally:
            self._clients.discard(queue)

    async def run(self) -> None:
        """Read outcomes until the task is cancelled."""
        while True:
            batch_id = await self._batches.get()
            try:
                found = await whole_step(partial(queries.outcomes_of, self._database, batch_id))
            except SQLAlchemyError as error:
                log.warning("outcomes cannot be read: %s", error_messages.describe(error))
                self._tell(_MISSED)
            else:
                for outcome in found:
                    self._tell(_event(outcome))

    def _tell(self, text: str) -> None:
        for queue in self._clients:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(_MISSED)
            queue.put_nowait(text)


async def _next(queue: asyncio.Queue[str], until: float) -> str:
    """Wait for the next event. At the time `until`, return a comment instead, which keeps the connection open."""
    if _now() >= until:  # needed if events come so fast that the queue is never empty
        return _KEEP_ALIVE
    try:
        async with asyncio.timeout_at(until):
            return await queue.get()
    except TimeoutError:
        return _KEEP_ALIVE


async def _holds(is_permitted: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await is_permitted()
    except (SQLAlchemyError, StopWork) as error:
        cause = error_messages.describe(error) if isinstance(error, SQLAlchemyError) else error
        log.warning("a stream of events ends, since its key cannot be checked: %s", cause)
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()


def _event(outcome: ImageOutcome) -> str:
    data = {
        "image_id": outcome.image_id,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "label": outcome.label,
        "finished_at": outcome.finished_at,
    }
    return f"event: outcome\ndata: {json_text(data)}\n\n"
