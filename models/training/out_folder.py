"""Reserve the folder into which a training writes: one training at a time, and nothing in it is lost by accident."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from models.bundle import CARD_FILE
from models.training.checkpoint import FOLDER, Checkpoint
from nightread.errors import UsageFault
from nightread.file_lock import FileLockedError, lock_file

LOCK_FILE = ".training.lock"


def require_free(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise UsageFault if the folder holds a bundle or an unfinished training, unless `resume` or `overwrite` is set.

    With `resume`, the folder must hold an unfinished training.
    """
    unfinished = Checkpoint(folder / FOLDER).exists()
    if resume:
        if not unfinished:
            raise UsageFault(f"there is no unfinished training in {folder}: omit --resume")
    elif not overwrite and unfinished:
        raise UsageFault(
            f"{folder} holds an unfinished training: continue it with --resume, or discard it with --overwrite."
        )
    elif not overwrite and (folder / CARD_FILE).exists():
        raise UsageFault(f"{folder} holds a bundle: choose another folder with --out, or replace it with --overwrite.")


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Create the folder and lock it for this process; the lock ends with the process, even if it is killed.

    Raises UsageFault if another training holds the lock, or if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder / LOCK_FILE)
    except FileLockedError:
        raise UsageFault(_in_use(folder)) from None
    except OSError as error:  # fail now, not after the first epoch
        raise UsageFault(
            f"{folder} cannot be written ({type(error).__name__}): choose another folder with --out"
        ) from error
    with lock:
        try:
            yield
        finally:
            (folder / LOCK_FILE).unlink(missing_ok=True)


def require_no_training(folder: Path) -> None:
    """Raise UsageFault if a training writes into the folder at the moment."""
    if is_reserved(folder):
        raise UsageFault(_in_use(folder))


def is_reserved(folder: Path) -> bool:
    """Return whether a training writes into the folder at the moment; False if this user may not open the lock."""
    if not (folder / LOCK_FILE).exists():
        return False
    with suppress(OSError):
        try:
            lock_file(folder / LOCK_FILE).close()
        except FileLockedError:
            return True
    return False


def _lock(path: Path) -> IO[bytes]:
    """Lock the file at `path`; try again if the previous holder deleted the file before it was locked."""
    while True:
        lock = lock_file(path)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        lock.close()


def _in_use(folder: Path) -> str:
    return f"another training writes into {folder}: wait for it or stop it, or choose another folder with --out."
