"""The folder of the embedded state, under one lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightread.errors import UsageFault
from nightread.file_lock import FileLockedError, lock_file


def make_state_folder(folder: Path) -> None:
    """Make the folder and its rooms, private to its owner: what lies there is patient data."""
    for path in (folder, folder / "logs", folder / "bundles"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the state for this process; the kernel lets go of it at any death. Raises UsageFault if another has it."""
    make_state_folder(folder)
    try:
        lock = lock_file(folder / "state.lock")
    except FileLockedError:
        raise UsageFault(
            f"Another nightread runs on {folder}: wait for it, stop it, or give this one its own --state."
        ) from None
    with lock:
        yield
