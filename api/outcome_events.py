"""Tell clients of outcomes as server-sent events (HTML Living Standard, section 9.2)."""

import asyncio
import logging
from collections.abc import AsyncIterator

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from api.json_response import json_text
from db import error_messages, queries
from db.engine import Database
from db.queries import ImageOutcome

log = logging.getLogger(__name__)

MOST_CLIENTS = 50
_KEEP_ALIVE_SECONDS = 15.0
_KEEP_ALIVE = ": keep-alive\n\n"
_RETRY = "retry: 2000\n\n"
_MISSED = "event: missed\ndata: {}\n\n"
_END = ""
_QUEUED_EVENTS = 10_000
_QUEUED_BATCHES = 1000


class OutcomeEvents:
    """Reads the outcomes of each recorded batch once for all clients that listen; it rests while nobody does.

    Events are news, and the database is the truth: a client that connects again reads what it missed from /v1/results.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clients: set[asyncio.Queue[str]] = set()
        self._has_ended = False
        self._batches: asyncio.Queue[str] = asyncio.Queue(_QUEUED_BATCHES)

    @property
    def is_full(self) -> bool:
        """Return whether no further client may listen."""
        return len(self._clients) >= MOST_CLIENTS

    def note(self, batch_id: str) -> None:
        """Tell the clients of a batch that was recorded."""
        if self._clients:
            try:
                self._batches.put_nowait(batch_id)
            except asyncio.QueueFull:
                self._tell(_MISSED)

    def end(self) -> None:
        """End the streams of all clients, which may connect again later."""
        self._has_ended = True
        self._tell(_END)

    async def listen(self) -> AsyncIterator[str]:
        """Yield events from now on; a client that reads too slowly gets an event `missed` for those that it missed."""
        queue: asyncio.Queue[str] = asyncio.Queue(_QUEUED_EVENTS)
        self._clients.add(queue)
        try:
            yield _RETRY
            while not self._has_ended:
                try:
                    async with asyncio.timeout(_KEEP_ALIVE_SECONDS):
                        text = await queue.get()
                except TimeoutError:
                    text = _KEEP_ALIVE
                if text != _END:
                    yield text
        finally:
            self._clients.discard(queue)

    async def run(self) -> None:
        """Read outcomes until the task is cancelled."""
        while True:
            batch_id = await self._batches.get()
            try:
                found = await run_in_threadpool(queries.outcomes_of, self._database, batch_id)
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


def _event(outcome: ImageOutcome) -> str:
    data = {
        "image_id": outcome.image_id,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "label": outcome.label,
        "finished_at": outcome.finished_at,
    }
    return f"event: outcome\ndata: {json_text(data)}\n\n"
