"""One live worker per node name: the ledger takes a worker that starts for the successor of all of that name."""

import hashlib
import tempfile
from pathlib import Path
from typing import IO

from nightread.errors import StopWork
from nightread.file_lock import FileLockedError, lock_file


def lock_node_name(node: str, sql_url: str, *, patience_seconds: float = 15.0) -> IO[bytes]:
    """Hold the name on this host for as long as the returned file is open; the kernel frees it at any death.

    The processes of the worker inherit it, so that it stays held while one of them still works. A predecessor may be
    finishing its batches: it is waited for. Raises StopWork where it stays, or where the lock is another user's.
    """
    digest = hashlib.blake2b(f"{node} {sql_url}".encode(), digest_size=8).hexdigest()
    path = Path(tempfile.gettempdir()) / f"nightread-worker-{digest}.lock"
    try:
        return lock_file(path, wait_seconds=patience_seconds, inherit=True)
    except FileLockedError:
        raise StopWork(
            f"a worker named {node} serves this record already on this host; one worker uses all cores or GPUs"
        ) from None
    except OSError as error:
        raise StopWork(
            f"The lock of this worker's name, {path}, cannot be opened ({type(error).__name__}): another user's worker "
            "made it. Run under that user, or remove the file once no worker of theirs runs."
        ) from error
