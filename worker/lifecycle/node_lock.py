"""Allow only one running worker per node name on a host.

A worker ends the leases of all earlier workers of its name when it starts, so a second worker would disturb the first.
"""

import hashlib
import tempfile
from pathlib import Path
from typing import IO

from nightread.errors import StopWork
from nightread.file_lock import FileLockedError, lock_file


def lock_node_name(node: str, sql_url: str, *, wait_seconds: float = 15.0) -> IO[bytes]:
    """Lock the node name for this database on this host. The returned file holds the lock.

    Forked child processes inherit the lock, so the kernel releases it when the worker and all its children have ended
    or closed the file. If another worker holds the lock, wait for at most `wait_seconds`, because it may be finishing
    its last batches. Raises StopWork if it holds the lock longer, or if the lock file belongs to another user.
    """
    digest = hashlib.blake2b(f"{node} {sql_url}".encode(), digest_size=8).hexdigest()
    path = Path(tempfile.gettempdir()) / f"nightread-worker-{digest}.lock"
    try:
        return lock_file(path, wait_seconds=wait_seconds, inherit=True)
    except FileLockedError:
        raise StopWork(
            f"a worker named {node} already runs on this host for this database. One worker uses all cores or GPUs; "
            "to replace it, stop the running worker first."
        ) from None
    except OSError as error:
        raise StopWork(
            f"the lock file {path} of the worker {node} cannot be opened ({type(error).__name__}), because a worker of "
            "another user created it. Run as that user, or remove the file when no worker of that user runs."
        ) from error
