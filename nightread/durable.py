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


def publish(finished: Path, target: Path) -> None:
    """Give a finished file its final name so that the name survives a power failure; no existing file is replaced.

    On a file system without hard links, a file that gets this name at the same moment is replaced. Raises
    FileExistsError, OSError.
    """
    try:
        os.link(finished, target)
    except FileExistsError:
        raise
    except OSError:
        finished.rename(target)
    sync_folder(target.parent)
