"""The names in a folder reach the disk."""

import os
import stat
from pathlib import Path

import pytest

from nightread.durable import sync_folder


def test_the_folder_itself_is_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the files in it; and its descriptor is closed again."""
    synchronised = []

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synchronised.append((descriptor, status.st_ino, stat.S_ISDIR(status.st_mode)))

    monkeypatch.setattr(os, "fsync", fsync)
    sync_folder(tmp_path)
    ((descriptor, inode, is_folder),) = synchronised
    assert (inode, is_folder) == (tmp_path.stat().st_ino, True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be on the disk must not be acknowledged; nor is a file taken for a folder."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        sync_folder(tmp_path)
