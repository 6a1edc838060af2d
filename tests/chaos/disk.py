"""Mount a small disk that can be filled."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024**2
SIZE_MIB = 256


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A folder on a small disk, or on the usual disk if mounting is not allowed."""

    folder: Path
    mount_error: str | None = None
    """Why the small disk is missing, so that `fill` must not be called."""

    def fill(self) -> None:
        """Fill the disk to the last byte."""
        with self._ballast.open("wb", buffering=0) as ballast:
            size = _MIB
            while size:
                try:
                    ballast.write(bytes(size))
                except OSError:
                    size //= 2

    def empty(self) -> None:
        """Remove the file that `fill` wrote."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Mount a tmpfs at this folder, or create a plain folder if this user may not mount."""
    folder.mkdir(mode=0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=755", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
        error = mounted.stderr.strip() if mounted.returncode else None
    except FileNotFoundError:
        error = "there is no mount command"
    if error is not None:
        yield Disk(folder=folder, mount_error=error if os.getuid() == 0 else f"not root: {error}")
        return
    try:
        yield Disk(folder=folder)
    finally:
        # Keep the state folder and the database for analysis.
        shutil.copytree(folder, folder.with_name(f"{folder.name}-as-it-was"))
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
