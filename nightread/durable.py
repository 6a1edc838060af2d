"""Make files outlive a loss of power."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Write the names in this folder to the disk: without it a new or renamed file may be gone after a loss of power.

    The bytes of the files themselves need an `fsync` of each. Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
