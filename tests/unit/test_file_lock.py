"""One process holds a file at a time, and for no longer than it lives."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nightread.file_lock import FileLockedError, lock_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a lock that nobody holds."""
    return tmp_path / "a.lock"


@contextmanager
def _holder(path: Path, then: str = "print()", *, inherit: bool = False) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that locks the file and runs `then`, which prints a line; the process, and that line."""
    program = f"""
        import os, subprocess, sys, time
        from pathlib import Path
        from nightread.file_lock import lock_file
        lock = lock_file(Path({str(path)!r}), inherit={inherit})
        {then}
        sys.stdout.flush()
        time.sleep(60)
    """
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        try:
            yield holder, holder.stdout.readline()
        finally:
            holder.kill()


def test_a_lock_is_held_until_it_is_closed(path: Path) -> None:
    """Then the next may have it; what is in the file, which only its owner may read, does not matter."""
    with lock_file(path), pytest.raises(FileLockedError):
        lock_file(path)
    lock_file(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lock_can_be_waited_for(path: Path) -> None:
    """As long as the caller says, by the caller's clock."""
    first, now = lock_file(path), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(FileLockedError):
        lock_file(path, wait_seconds=5, sleep=sleep, clock=lambda: now[0])
    assert now[0] == pytest.approx(5, abs=0.2)
    threading.Timer(0.1, first.close).start()
    lock_file(path, wait_seconds=5).close()


def test_a_process_that_is_killed_holds_nothing(path: Path) -> None:
    """The kernel frees its locks: nothing is to be cleaned up before the next start."""
    with _holder(path) as (holder, _):
        with pytest.raises(FileLockedError):
            lock_file(path)
        holder.kill()
        holder.wait()
        lock_file(path).close()


@pytest.mark.parametrize(
    ("start_child", "inherit", "holds"),
    [
        ("print(os.fork() or time.sleep(60))", False, False),
        ("print(os.fork() or time.sleep(60))", True, True),
        ("print(subprocess.Popen(['sleep', '60'], close_fds=False, stdout=subprocess.DEVNULL).pid)", True, False),
    ],
    ids=["fork", "fork that inherits", "program"],
)
def test_a_child_holds_the_lock_only_where_that_is_meant(
    path: Path, start_child: str, inherit: bool, holds: bool
) -> None:
    """A worker's name stays taken while one of its processes still works; nothing else outlives its process."""
    with _holder(path, start_child, inherit=inherit) as (holder, child):
        try:
            holder.kill()
            holder.wait()
            if holds:
                with pytest.raises(FileLockedError):
                    lock_file(path)
            else:
                lock_file(path, wait_seconds=5).close()
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_child_that_ends_does_not_release_the_lock_of_its_parent(path: Path) -> None:
    """It closes its copy of the file, and the lock is the parent's."""
    ended = "child = os.fork() or os._exit(0); os.waitpid(child, 0); print()"
    with _holder(path, ended), pytest.raises(FileLockedError):
        lock_file(path)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Whoever may write in the folder of a lock must not choose which file is opened."""
    path.symlink_to(tmp_path / "else")
    with pytest.raises(OSError, match="symbolic links"):
        lock_file(path)
    assert not (tmp_path / "else").exists()
