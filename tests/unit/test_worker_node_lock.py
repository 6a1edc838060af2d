"""Allow one worker per name and database on a host."""

import tempfile
import threading
from pathlib import Path

import pytest

from nightread.errors import StopWork
from worker.lifecycle.node_lock import lock_node_name


def test_a_second_worker_of_the_same_name_and_database_is_refused() -> None:
    """It would end the leases of the first worker."""
    with lock_node_name("n@host", "sqlite:///one"), pytest.raises(StopWork, match="n@host"):
        lock_node_name("n@host", "sqlite:///one", wait_seconds=0)


def test_a_worker_waits_for_a_predecessor_that_is_finishing() -> None:
    """A worker that is shutting down keeps its name until its batches are finished."""
    first = lock_node_name("n@host", "sqlite:///three")
    threading.Timer(0.2, first.close).start()
    with lock_node_name("n@host", "sqlite:///three") as second:
        assert not second.closed


def test_other_names_and_other_databases_are_not_locked() -> None:
    """A name is free again when its worker has ended."""
    with lock_node_name("n@host", "sqlite:///one"):
        for name, database in (("m@host", "sqlite:///one"), ("n@host", "sqlite:///two")):
            with lock_node_name(name, database, wait_seconds=0) as other:
                assert not other.closed
    with lock_node_name("n@host", "sqlite:///one", wait_seconds=0) as successor:
        assert not successor.closed


def test_a_lock_that_is_a_link_stops_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who can write to the folder of the lock files must not choose which file is opened."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lock_node_name("n@host", "sqlite:///four").close()
    (lock,) = tmp_path.iterdir()
    lock.rename(tmp_path / "else")
    lock.symlink_to(tmp_path / "else")
    with pytest.raises(StopWork, match="cannot be opened"):
        lock_node_name("n@host", "sqlite:///four")
