"""Lock a file, so that one process on this host holds it at a time."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from weakref import WeakSet

_POLL_SECONDS = 0.1
_not_inherited: WeakSet[IO[bytes]] = WeakSet()


class FileLockedError(Exception):
    """Another process holds the lock, or this process already holds it."""


def lock_file(
    path: Path,
    *,
    wait_seconds: float = 0.0,
    inherit: bool = False,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> IO[bytes]:
    """Lock the file, which is created if necessary; the lock lasts until the returned file is closed.

    The kernel releases the lock when the process ends, even after a crash. A program that the process starts never
    inherits the lock. A forked child inherits it only with `inherit`; the lock then lasts until parent and children
    have ended. Symbolic links are not followed. Raises OSError, and FileLockedError if the lock is still held after
    `wait_seconds`.
    """
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b")
    give_up_at = clock() + wait_seconds
    while not _try_to_lock(file):
        if clock() >= give_up_at:
            file.close()
            raise FileLockedError(path)
        sleep(_POLL_SECONDS)
    if not inherit:
        _not_inherited.add(file)
    return file


def _try_to_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _close_in_child() -> None:
    """Close the copies of locked files in a forked child. The parent keeps its locks."""
    for file in list(_not_inherited):
        file.close()


os.register_at_fork(after_in_child=_close_in_child)
