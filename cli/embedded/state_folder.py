"""Create and lock the state folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightread.errors import UsageFault
from nightread.file_lock import FileLockedError, lock_file


def make_state_folder(folder: Path) -> None:
    """Create the folder and its subfolders with mode 0700, because they contain patient data."""
    for path in (folder, folder / "logs", folder / "bundles"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)


@contextmanager
def locked_state_folder(folder: Path) -> Iterator[None]:
    """Lock the folder; the kernel frees the lock if this process dies. Raises UsageFault if the folder is locked."""
    make_state_folder(folder)
    try:
        lock = lock_file(folder / "state.lock")
    except FileLockedError:
        raise UsageFault(
            f"Another nightread process uses {folder}: wait for it, stop it, or name another folder with --state."
        ) from None
    with lock:
        yield
