"""Commit the images of all requests together: an fsync costs the same for one image as for a thousand."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages
from db.ledger import Arrival

log = logging.getLogger(__name__)

GROUP_IMAGES = 1000
REGISTER_TIMEOUT_SECONDS = 40.0
"""A request fails if its image is not committed after this time. This is longer than a commit waits: 20 s
for SQLite's lock, or 30 s until a broken connection to PostgreSQL counts as lost."""
_RETRY_SECONDS = 1.0

Commit = Callable[[Sequence[Arrival]], dict[str, int]]
Present = Callable[[Sequence[Arrival]], list[Arrival]]


class NotCommittedError(Exception):
    """The image may be missing in the database, so the client must send it again."""


class SubmissionCommitter:
    """Commits waiting images in a thread, up to 1,000 in one transaction. Images that come meanwhile are next."""

    def __init__(self, commit: Commit, present: Present, executor: Executor, on_committed: Callable[[], None]) -> None:
        """`commit` makes arrivals durable and returns {URI: image id}. `on_committed` is called after each commit.

        `present` returns those arrivals of a failed commit whose files still exist.
        """
        self._commit = commit
        self._present = present
        self._executor = executor
        self._on_committed = on_committed
        self._waiting: list[_Waiting] = []
        self._unconfirmed: list[Arrival] = []
        self._wake = asyncio.Event()
        self.is_available = True
        """True if the latest commit succeeded. While it is False, images should be refused."""

    async def register(self, arrival: Arrival) -> int:
        """Wait until the image is committed, and return its id. Raises NotCommittedError, at the latest after 40 s."""
        waiting = _Waiting(arrival, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        try:
            async with asyncio.timeout(REGISTER_TIMEOUT_SECONDS):
                return await waiting.image_id
        except TimeoutError:
            raise NotCommittedError from None

    async def run(self) -> None:
        """Commit until the task is cancelled. While the database is unavailable, try again every second."""
        while True:
            await self._wait()
            again, self._unconfirmed = self._unconfirmed[:GROUP_IMAGES], self._unconfirmed[GROUP_IMAGES:]
            room = GROUP_IMAGES - len(again)
            group, self._waiting = self._waiting[:room], self._waiting[room:]
            await self._commit_group(again, group)

    async def _wait(self) -> None:
        """Return when there is an image to commit; after a failure, return after a second to try again."""
        if not self.is_available:
            await asyncio.sleep(_RETRY_SECONDS)
            return
        while not (self._waiting or self._unconfirmed):
            self._wake.clear()
            await self._wake.wait()

    async def _commit_group(self, again: Sequence[Arrival], group: Sequence["_Waiting"]) -> None:
        # Arrivals of a failed commit keep their files and are committed again, because the commit may have reached the
        # database all the same. Registering an arrival twice does no harm.
        loop = asyncio.get_running_loop()
        new = [waiting.arrival for waiting in group]
        try:
            if again:
                again = await loop.run_in_executor(self._executor, self._present, again)
            ids = await loop.run_in_executor(self._executor, self._commit, [*again, *new])
        except (SQLAlchemyError, OSError) as error:
            refused, self._waiting = [*group, *self._waiting], []
            self._unconfirmed += [*again, *(waiting.arrival for waiting in refused)]
            self._log_change(error)
            _refuse(refused)
            return
        self._log_change(None)
        for waiting in group:
            if not waiting.image_id.done():
                waiting.image_id.set_result(ids[waiting.arrival.uri])
        self._on_committed()

    def _log_change(self, error: Exception | None) -> None:
        """Log the first failure after a success, and the first success after a failure."""
        if error is not None and self.is_available:
            cause = error_messages.describe(error) if isinstance(error, SQLAlchemyError) else type(error).__name__
            log.warning("images are refused, since they cannot be registered: %s", cause)
        elif error is None and not self.is_available:
            log.info("images are accepted again, since they can be registered")
        self.is_available = error is None


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: Arrival
    image_id: asyncio.Future[int]


def _refuse(group: Sequence[_Waiting]) -> None:
    for waiting in group:
        if not waiting.image_id.done():
            waiting.image_id.set_exception(NotCommittedError())
