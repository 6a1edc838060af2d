"""Provide a folder in memory for trials that need files."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it


@cache
def folder() -> Path:
    """Return the folder of this process. It is removed when the process ends in order."""
    made = Path(tempfile.mkdtemp(prefix="nightread-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
