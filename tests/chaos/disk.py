"""A small disk of its own, which can be filled."""

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
    """A folder, which is a disk of its own where mounting is allowed."""

    folder: Path
    mount_error: str | None = None
    """Why it cannot be filled."""

    def fill(self) -> None:
        """To the last byte."""
        with self._ballast.open("wb", buffering=0) as ballast:
            size = _MIB
            while size:
                try:
                    ballast.write(bytes(size))
                except OSError:
                    size //= 2

    def empty(self) -> None:
        """Remove what `fill` wrote."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A tmpfs at this folder; a plain folder where this user may not mount."""
    folder.mkdir(mode=0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=755", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
        trouble = mounted.stderr.strip() if mounted.returncode else None
    except FileNotFoundError:
        trouble = "there is no mount command"
    if trouble is not None:
        yield Disk(folder=folder, mount_error=trouble if os.getuid() == 0 else f"not root: {trouble}")
        return
    try:
        yield Disk(folder=folder)
    finally:
        shutil.copytree(folder, folder.with_name(f"{folder.name}-as-it-was"))  # for whoever looks for a cause
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
