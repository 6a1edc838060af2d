"""Remove folders of the spool in one step, so that no other process finds a half-removed folder."""

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_PREFIX = ".removed-"


def set_aside(folder: Path, root: Path) -> Path | None:
    """Rename a folder below `root` to a name that nothing reads. Return its new path; None if the folder is gone.

    Raises OSError.
    """
    renamed = root / f"{_PREFIX}{uuid4()}"
    try:
        folder.rename(renamed)
    except FileNotFoundError:  # another process has just completed or removed it
        return None
    return renamed


def remove_folder(folder: Path, root: Path) -> None:
    """Remove a folder below `root`. A process that still writes to it gets FileNotFoundError.

    Raises OSError if the folder cannot be renamed. Files that cannot be removed stay; they cause no error.
    """
    renamed = set_aside(folder, root)
    if renamed is not None:
        shutil.rmtree(renamed, ignore_errors=True)


def remove_leftovers(root: Path) -> None:
    """Remove the folders that a process had set aside before it died."""
    with suppress(FileNotFoundError):  # no archive was unpacked yet
        for left in root.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
