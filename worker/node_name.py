"""One live worker per node name: the ledger takes a worker that starts for the successor of all of that name."""

import fcntl
import hashlib
import tempfile
from pathlib import Path
from typing import IO

from nightread.errors import StopWork


def hold_node_name(node: str, sql_url: str) -> IO[str]:
    """Hold the name on this host for as long as the returned file is open; the kernel frees it at any death.

    Raises StopWork where a worker of this name serves the same record from this host.
    """
    digest = hashlib.blake2b(f"{node} {sql_url}".encode(), digest_size=8).hexdigest()
    handle = (Path(tempfile.gettempdir()) / f"nightread-worker-{digest}.lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise StopWork(
            f"a worker named {node} serves this record already on this host; one worker uses all cores or GPUs"
        ) from None
    return handle
