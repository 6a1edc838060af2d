"""Write one file from a client into the spool, without blocking the event loop."""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from hashlib import sha256
from http import HTTPStatus
from typing import TypeVar

from api.problems import Problem
from db.ledger import Arrival, CallingEntity
from nightread.content_digest import ContentHasher
from producer.spool.quota import OverQuotaError, SenderAccount
from producer.spool.spool import Incoming, Spool

T = TypeVar("T")
_MEMORY_BYTES = 1024**2
"""Bytes that are held in memory before they are written, so that a small file needs only one step in a thread."""
_HEAD_BYTES = 64 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Upload:
    """One file while it arrives. Call `write` for its bytes, then `complete`; `discard` removes an incomplete file."""

    def __init__(
        self,
        spool: Spool,
        account: SenderAccount,
        sender: CallingEntity,
        executor: Executor,
        is_disk_short: Callable[[], bool],
        *,
        priority: int | None = None,
        with_sha256: bool = False,
    ) -> None:
        """`priority` is the priority of the image; None means the default priority."""
        self._spool = spool
        self._account = account
        self._sender = sender
        self._executor = executor
        self._is_disk_short = is_disk_short
        self._priority = priority
        self._incoming: Incoming | None = None
        self._buffer = bytearray()
        self._hash = ContentHasher()
        self._sha256 = sha256() if with_sha256 else None
        self.size = 0
        self.head = bytearray()
        """The first 64 KiB. They show the kind of the file, and contain the UIDs of a DICOM object."""

    @property
    def content(self) -> str:
        """Return the content (`blake3:...`) of the bytes written so far; after `complete`, that of the whole file."""
        return self._hash.content

    @property
    def sha256(self) -> str | None:
        """Return the SHA-256 of the bytes written so far; None if it was not requested."""
        return self._sha256.hexdigest() if self._sha256 else None

    async def write(self, data: bytes) -> None:
        """Append bytes. Raises Problem 507 if the disk or the quota of the key is full, 503 for other errors."""
        self.size += len(data)
        if len(self.head) < _HEAD_BYTES:
            self.head += data[: _HEAD_BYTES - len(self.head)]
        self._buffer += data
        if len(self._buffer) >= _MEMORY_BYTES:
            await self._run(self._spill)

    async def complete(self) -> Arrival:
        """Write the file to the disk, and return its arrival. Raises the problems of `write`."""
        arrival = await self._run(self._complete)
        return replace(arrival, sender=self._sender, priority=self._priority)

    async def discard(self) -> None:
        """Remove the file unless it is complete."""
        if self._incoming is not None:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._incoming.discard)

    async def _run(self, step: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, step)
        except OSError as error:
            raise _problem(error) from None

    def _spill(self) -> None:
        """Write the buffer to the file. Runs in a thread."""
        if self._incoming is None:
            if self._is_disk_short():
                raise OSError(errno.ENOSPC, "the disk reserve is reached")
            self._incoming = self._spool.begin(self._account)
        data, self._buffer = bytes(self._buffer), bytearray()
        self._hash.update(data)
        if self._sha256 is not None:
            self._sha256.update(data)
        self._incoming.write(data)

    def _complete(self) -> Arrival:
        self._spill()
        assert self._incoming is not None  # noqa: S101 - made by _spill
        return self._incoming.complete()


def _problem(error: OSError) -> Problem:
    if isinstance(error, OverQuotaError):
        return Problem(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "The files of this key use up its quota in the spool: send this file again when older ones are removed.",
        )
    if error.errno in _FULL:
        return Problem(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "The disk has too little free space: the file is not stored; send it again later.",
        )
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The spool cannot be written ({errno.errorcode.get(error.errno or 0, 'unknown error')}).",
        headers={"Retry-After": "60"},
    )
