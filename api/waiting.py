"""Wait for the outcomes of images, with one query for all clients that wait instead of a thread per client."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from api.whole_step import whole_step
from db import error_messages, queries
from db.engine import Database

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Without a message from a worker, an outcome is found after at most this time."""


class OutcomeWaiters:
    """The clients that wait for outcomes of images. After a message from a worker, a query finds the outcomes."""

    def __init__(self, database: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._waiting: defaultdict[int, set[asyncio.Future[None]]] = defaultdict(set)
        self._wake = asyncio.Event()
        self._is_unavailable = False
        self._has_ended = False

    def wake(self) -> None:
        """Look for outcomes now. This is called when an outcome was recorded."""
        self._wake.set()

    def end(self) -> None:
        """End all present and future waits, because the API stops. Clients can ask again later."""
        self._has_ended = True
        for futures in self._waiting.values():
            _resolve(futures)

    async def wait(self, image_ids: Collection[int], seconds: float) -> bool:
        """Wait for at most `seconds`. Return whether all these images have their outcome; False if the API stops."""
        if not image_ids or self._has_ended:
            return not image_ids
        loop = asyncio.get_running_loop()
        futures = {image_id: loop.create_future() for image_id in image_ids}
        for image_id, future in futures.items():
            self._waiting[image_id].add(future)
        self.wake()  # the outcome may have been recorded already
        try:
            _, pending = await asyncio.wait(futures.values(), timeout=seconds)
            return not pending and not self._has_ended
        finally:
            for image_id, future in futures.items():
                self._forget(image_id, future)

    async def run(self) -> None:
        """Look for outcomes until the task is cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds if self._waiting else None):
                    await self._wake.wait()
            self._wake.clear()
            if self._waiting:
                await self._look()

    async def _look(self) -> None:
        try:
            finished = await whole_step(partial(queries.finished_among, self._database, list(self._waiting)))
        except SQLAlchemyError as error:
            if not self._is_unavailable:
                log.warning("outcomes cannot be read: %s", error_messages.describe(error))
            self._is_unavailable = True
            await asyncio.sleep(self._poll_seconds)
            return
        self._is_unavailable = False
        for image_id in finished:
            _resolve(self._waiting.get(image_id, ()))

    def _forget(self, image_id: int, future: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(image_id)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[image_id]


def _resolve(futures: Collection[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
