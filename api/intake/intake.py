"""Write received files into the spool of the API and register them, both durably before the client gets a response."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from api.access import Principal
from api.intake.committer import NotCommittedError, SubmissionCommitter
from api.intake.only_api import OnlyApi
from api.intake.upload import Upload
from api.problems import Problem
from db import ledger
from db.engine import Database
from db.ledger import Arrival, CallingEntity
from nightread.clock import Clock
from nightread.paths import root_text
from nightread.settings import Settings
from nightread.sources import API
from producer.cstore.free_space import FreeSpaceCheck
from producer.dispatcher.disk import DiskReserve
from producer.spool.quota import SpoolQuota, disk_space
from producer.spool.recovery import register_leftovers
from producer.spool.spool import Spool, spool_root

T = TypeVar("T")
log = logging.getLogger(__name__)

_FILE_THREADS = 4
_STOW_PARTS_AT_ONCE = 64
"""Largest number of received parts of STOW-RS requests that are neither durable nor refused yet. It is limited, because
each part needs up to 1 MiB of memory."""
_KEY_TITLE = "API"
"""The AE title that is stored for each client. The id of the client's key is stored as its address. The name of the key
is not used, because a later key may have the same name."""


class SubmissionIntake:
    """Receives files into the spool of the API, and registers them.

    Each key is a sender of its own: images of a key can replace only images of the same key.
    """

    def __init__(
        self, settings: Settings, database: Database, *, clock: Clock, on_registered: Callable[[], None]
    ) -> None:
        """`database` must be opened with `durable=True`."""
        self._database = database
        self._clock = clock
        self._on_registered = on_registered
        self._priority = settings.default_priority
        self.spool = Spool(spool_root(settings, API), clock=clock)
        self.only_api = OnlyApi(database)
        self.quota = SpoolQuota(partial(disk_space, self.spool.root, settings.disk_reserve_bytes))
        self.source_id = 0
        self.places = asyncio.Semaphore(_STOW_PARTS_AT_ONCE)
        """Limits the number of STOW-RS parts that are received, but neither durable nor refused yet."""
        self._free_space = FreeSpaceCheck(DiskReserve(settings, self.spool.root))
        self._files = ThreadPoolExecutor(_FILE_THREADS, "files")
        self._commits = ThreadPoolExecutor(1, "commits")
        self.committer = SubmissionCommitter(self._commit, self.spool.present, self._commits, on_registered)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the locks of the API and its spool, and register the files that an earlier API left in the spool.

        Raises OSError, database errors, and UsageFault if another API holds a lock.
        """
        with self.only_api.held(), self.spool.locked():
            now = self._clock()
            self.source_id = ledger.ensure_source(
                self._database, name=API, kind=API, root=root_text(self.spool.root), now=now
            )
            removed = self.spool.remove_partial()
            found = register_leftovers(
                self._database, self.spool, source_id=self.source_id, priority=self._priority, now=now
            )
            self.quota.recount(self.spool.sizes())
            if removed or found:
                log.warning(
                    "recovered the files of an earlier API that died", extra={"registered": found, "removed": removed}
                )
                self._on_registered()
            try:
                yield
            finally:
                self._files.shutdown()
                self._commits.shutdown()

    def begin(self, principal: Principal, *, is_awaited: bool = False, with_sha256: bool = False) -> Upload:
        """Return a new, empty upload of this principal.

        The image is urgent if the client waits for its result (`is_awaited`); otherwise it has the default priority.
        Raises Problem 503 while images cannot be registered.
        """
        if not self.committer.is_available:
            raise _unavailable()
        sender = CallingEntity(_KEY_TITLE, principal.reference)
        return Upload(
            self.spool,
            self.quota.account(principal.reference),
            sender,
            self._files,
            self._free_space.is_short,
            priority=ledger.URGENT if is_awaited else None,
            with_sha256=with_sha256,
        )

    async def finish(self, upload: Upload) -> int:
        """Make the upload durable, and return the id of its image. Raises Problem 507 and 503."""
        try:
            return await self.committer.register(await upload.complete())
        except NotCommittedError:
            raise _unavailable() from None

    async def in_thread(self, step: Callable[[], T]) -> T:
        """Run a step that reads or writes files, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._files, step)

    @property
    def is_disk_short(self) -> bool:
        """Return whether images are refused because too little disk space is free."""
        return self._free_space.is_short()

    def _commit(self, arrivals: Sequence[Arrival]) -> dict[str, int]:
        """Sync the folders of the files, and register the files. Return {URI: image id}. Runs in a thread."""
        self.spool.sync_folders(arrivals)
        return ledger.submit(
            self._database, source_id=self.source_id, arrivals=arrivals, priority=self._priority, now=self._clock()
        )


def _unavailable() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database is unavailable: the image is not registered; send it again.",
        headers={"Retry-After": "5"},
    )
