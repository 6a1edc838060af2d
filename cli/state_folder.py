"""The folder of the embedded state, under one lock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightread.errors import UsageFault


def make_state_folder(folder: Path) -> None:
    """Make the folder and its rooms, private to its owner: what lies there is patient data."""
    for path in (folder, folder / "logs", folder / "bundles"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the state for this process; the kernel lets go of it at any death. Raises UsageFault if another has it."""
    make_state_folder(folder)
    with (folder / "state.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageFault(
                f"Another nightread runs on {folder}: wait for it, stop it, or give this one its own --state."
            ) from None
        yield
