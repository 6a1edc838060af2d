"""The names in a folder reach the disk."""

import os
import stat
from pathlib import Path

import pytest

from nightread.durable import publish, sync_folder


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


@pytest.mark.parametrize("has_hard_links", [True, False])
def test_a_finished_file_gets_its_name_and_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_hard_links: bool
) -> None:
    """Also on a file system without hard links, such as exFAT."""

    def refuse(_finished: Path, target: Path) -> None:
        raise FileExistsError(17, "File exists") if target.exists() else PermissionError(1, "Operation not permitted")

    if not has_hard_links:
        monkeypatch.setattr(os, "link", refuse)
    finished, target = tmp_path / "partial", tmp_path / "name"
    finished.write_text("first")
    publish(finished, target)
    finished.unlink(missing_ok=True)
    finished.write_text("second")
    with pytest.raises(FileExistsError):
        publish(finished, target)
    assert target.read_text() == "first"
