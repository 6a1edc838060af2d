"""Mount small file systems in memory: full, or read-only."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import skip_reasons


@contextmanager
def small_disk(folder: Path, *, mib: int, inodes: int | None = None) -> Iterator[Path]:
    """Mount a tmpfs of `mib` MiB at `folder`; skip the test if this user may not mount.

    `inodes` limits them; with 0 the file system does not count them, as btrfs does not.
    """
    folder.mkdir(exist_ok=True)
    limit = "" if inodes is None else f",nr_inodes={inodes}"
    _mount("-t", "tmpfs", "-o", f"size={mib}m,mode=0777{limit}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill the disk of `small_disk` completely until the end of the context."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Make the disk of `small_disk` read-only until the end of the context. No file may be open for writing."""
    _mount("-o", "remount,ro", str(disk))
    try:
        yield
    finally:
        _mount("-o", "remount,rw", str(disk))


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(skip_reasons.MOUNT)
    if done.returncode:
        pytest.skip(skip_reasons.MOUNT)
