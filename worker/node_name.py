"""One live worker per node name: the ledger takes a worker that starts for the successor of all of that name."""

import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import IO

from nightread.errors import StopWork


def hold_node_name(node: str, sql_url: str, *, patience_seconds: float = 15.0) -> IO[str]:
    """Hold the name on this host for as long as the returned file is open; the kernel frees it at any death.

    A predecessor may be finishing its batches: it is waited for. Raises StopWork where it stays, or where
    the lock is another user's.
    """
    digest = hashlib.blake2b(f"{node} {sql_url}".encode(), digest_size=8).hexdigest()
    handle = _opened(Path(tempfile.gettempdir()) / f"nightread-worker-{digest}.lock")
    until = time.monotonic() + patience_seconds
    while not _locked(handle):
        if time.monotonic() > until:
            handle.close()
            raise StopWork(
                f"a worker named {node} serves this record already on this host; one worker uses all cores or GPUs"
            )
        time.sleep(0.1)
    return handle


def _opened(path: Path) -> IO[str]:
    """Never through a link: the folder is everybody's."""
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+")
    except OSError as error:
        raise StopWork(
            f"The lock of this worker's name, {path}, cannot be opened ({type(error).__name__}): another user's worker "
            "made it. Run under that user, or remove the file once no worker of theirs runs."
        ) from error


def _locked(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
