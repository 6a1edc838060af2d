"""Make sure that files survive a power failure."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Write the directory entries of this folder to the disk.

    Without this call, a new or renamed file may be missing after a power failure. The content of each file needs an
    `fsync` of its own. Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
