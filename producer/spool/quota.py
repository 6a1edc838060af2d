"""Limit what one sender may hold in the spool of a receiver, so that it cannot fill the disk for all others."""

import errno
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from nightread.hosts import host_key

_SHARE = 3
"""A sender may hold three times the space that is still free: the first sender up to three quarters of the disk, the
next sender up to three quarters of the rest. So each sender leaves space for others (dynamic threshold: Choudhury and
Hahne, IEEE/ACM Transactions on Networking 6, 1998)."""
_BLOCK_BYTES = 4096
"""A file takes up to one block more than its bytes, including its entry in the folder."""
_CHECK_SECONDS = 0.5
"""The disk is asked for its free space again after this time. Until then, charged bytes are subtracted."""


class OverQuotaError(OSError):
    """The sender would exceed the number of bytes that it may hold in the spool."""

    def __init__(self) -> None:
        super().__init__(errno.EDQUOT, "the quota of the sender is used up")


class FreeSpace(NamedTuple):
    """The space that a disk still offers."""

    bytes: int
    """Free bytes beyond the disk reserve; a disk that runs out of inodes counts as full."""
    file_bytes: int
    """A smaller file counts as this many bytes: a disk with M inodes is full after M files, even if they are small."""


def disk_space(folder: Path, reserve_bytes: int) -> FreeSpace:
    """Ask the disk of an existing folder for its free space. Raises OSError."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if not status.f_files or not status.f_favail:  # this file system does not count inodes
        return FreeSpace(free - reserve_bytes, _BLOCK_BYTES)
    per_inode = status.f_blocks * status.f_frsize // status.f_files
    return FreeSpace(min(free, status.f_favail * per_inode) - reserve_bytes, max(_BLOCK_BYTES, per_inode))


def sender_of(address: str) -> str:
    """Return the sender at an IP address as eight hex digits, which the names of its files begin with.

    AE titles do not identify a sender, since one sender may use any number of titles.
    """
    return blake2b(host_key(address), digest_size=4).hexdigest()


class SpoolQuota:
    """Counts the bytes of complete and incomplete files that each sender holds in one spool, and limits them."""

    def __init__(
        self,
        space: Callable[[], FreeSpace],
        *,
        limit_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the quota. `limit_bytes` is the limit of each sender; None means three times the free space."""
        self._ask = space
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._held = Counter[str]()
        self._open = Counter[str]()
        self._completed = Counter[str]()
        self._space = FreeSpace(0, _BLOCK_BYTES)
        self._asked_at = float("-inf")
        self._since_asked = 0

    def account(self, address: str) -> "SenderAccount":
        """Return the account of the sender at this address."""
        return SenderAccount(quota=self, sender=sender_of(address))

    def held_by(self, sender: str) -> int:
        """Return the bytes that a sender holds."""
        with self._lock:
            return self._held[sender]

    def file_cost(self, size: int) -> int:
        """Return the number of bytes that are counted for a file of this size."""
        return max(self._space.file_bytes, size + _BLOCK_BYTES)

    def charge(self, sender: str, count: int) -> None:
        """Count bytes that will be written. Raises OverQuotaError, and OSError if the disk reserve is reached."""
        with self._lock:
            space = self._present_space()
            if space < count:
                raise OSError(errno.ENOSPC, "the disk reserve is reached")
            limit = _SHARE * (space - count) if self._limit_bytes is None else self._limit_bytes
            held = self._held[sender]
            if held and held + count > limit:  # a sender that holds nothing may always begin
                raise OverQuotaError
            self._held[sender] += count
            self._open[sender] += count
            self._since_asked += count

    def release(self, sender: str, count: int) -> None:
        """Stop counting the bytes of an incomplete file that was removed."""
        with self._lock:
            self._held[sender] -= count
            self._open[sender] -= count
            self._since_asked -= count

    def complete(self, sender: str, count: int) -> None:
        """Count the bytes of an incomplete file as those of a complete file."""
        with self._lock:
            self._open[sender] -= count
            self._completed[sender] += count

    def recount(self, files: Iterable[tuple[str, int]]) -> None:
        """Count the complete files of the spool anew, since other processes may have removed files.

        `files` holds the sender and the size of each file.

        A file that becomes complete meanwhile may count twice until the next call.
        """
        self.refresh()
        with self._lock:
            self._completed.clear()
        found = Counter[str]()
        for sender, size in files:
            found[sender] += self.file_cost(size)
        with self._lock:
            self._held = found + self._completed + self._open  # without senders that hold nothing
            self._open = +self._open

    def refresh(self) -> None:
        """Ask the disk for its free space now."""
        with self._lock:
            self._asked_at = float("-inf")
            self._present_space()

    def _present_space(self) -> int:
        now = self._clock()
        if now - self._asked_at >= _CHECK_SECONDS:
            self._space, self._asked_at, self._since_asked = self._ask(), now, 0
        return self._space.bytes - self._since_asked


@dataclass(frozen=True, kw_only=True, slots=True)
class SenderAccount:
    """The bytes that one sender holds in the spool."""

    quota: SpoolQuota
    sender: str

    def begin(self) -> "FileCharge":
        """Count a new, empty file. Raises as SpoolQuota.charge does."""
        charge = FileCharge(self)
        charge.grow(0)
        return charge


class FileCharge:
    """The bytes that are counted for one file while it is written."""

    __slots__ = ("_account", "_charged", "_size")

    def __init__(self, account: SenderAccount) -> None:
        self._account = account
        self._size = self._charged = 0

    def grow(self, count: int) -> None:
        """Count bytes before they are written. Raises as SpoolQuota.charge does."""
        quota, sender = self._account.quota, self._account.sender
        self._size += count
        more = quota.file_cost(self._size) - self._charged
        if more > 0:
            quota.charge(sender, more)
            self._charged += more

    def complete(self) -> None:
        """Keep the bytes counted: the file is complete."""
        self._account.quota.complete(self._account.sender, self._charged)

    def release(self) -> None:
        """Stop counting the bytes: the file was removed."""
        self._account.quota.release(self._account.sender, self._charged)
        self._charged = 0
