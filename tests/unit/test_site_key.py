"""The secrets that nightread makes are complete, the same for all processes, and closed to others."""

import multiprocessing
import os
import stat
from pathlib import Path
from typing import IO

import pytest

from nightread import site_key
from nightread.errors import StopWork
from nightread.settings import load_settings
from nightread.site_key import load_secret, load_site_key


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """Later starts read the same 32 bytes, and no draft is left."""
    settings = load_settings(state_dir=tmp_path)
    key = load_site_key(settings)
    assert len(key) == 32
    assert load_site_key(settings) == key
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {
        "site.key": 0o600,
        "site.key.lock": 0o600,
    }


def test_no_process_sees_an_incomplete_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two worker processes start at the same time: the file has no name before its bytes are on the disk."""
    path, seen = tmp_path / "site.key", []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        seen.append(path.read_bytes() if path.exists() else None)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    key = load_secret(path)
    assert seen == [None, key.hex().encode() + b"\n"]


def test_the_first_of_two_processes_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes its key while this one waits for the lock: both use the key of the other."""
    path = tmp_path / "site.key"
    lock_file = site_key.lock_file

    def overtaken(lock: Path, *, wait_seconds: float) -> IO[bytes]:
        path.write_text("ab" * 32)
        return lock_file(lock, wait_seconds=wait_seconds)

    monkeypatch.setattr(site_key, "lock_file", overtaken)
    assert load_secret(path) == b"\xab" * 32


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    """Also beside the draft of a process that was killed."""
    path = tmp_path / "site.key"
    (tmp_path / "site.key.new").write_text("ab")
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        keys = pool.map(load_secret, [path] * 8, chunksize=1)
    assert {*keys} == {bytes.fromhex(path.read_text())}
    assert not (tmp_path / "site.key.new").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"ab" * 16, b"ab" * 33, b"xy" * 32, b"\xff" * 64])
def test_a_damaged_key_is_never_used(tmp_path: Path, content: bytes) -> None:
    """With another key no earlier patient is found; an empty key would be known to everybody."""
    path = tmp_path / "site.key"
    path.write_bytes(content)
    with pytest.raises(StopWork, match=r"site\.key is damaged: it must contain 64 hexadecimal digits"):
        load_secret(path)
    assert path.read_bytes() == content
