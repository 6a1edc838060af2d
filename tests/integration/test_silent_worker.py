"""A worker that hangs is ended; one that is merely quiet for a reason is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from monotonic import MovableMonotonic
from night import Night

from cli.children import worker_node
from cli.silent_worker import SILENT_SECONDS, SilentWorker
from cli.supervisor import Child
from db import ledger


@pytest.fixture
def new_worker(tmp_path: Path) -> Iterator[Child]:
    """A process that has just started and hears nothing."""
    child = Child(
        name="worker",
        arguments=["sleep", "600"],
        environment={},
        folder=tmp_path,
        log_file=tmp_path / "log",
        monotonic=MovableMonotonic(),
    )
    child.start()
    yield child
    child.kill()


@pytest.fixture
def worker(new_worker: Child) -> Child:
    """The same after it has run for long."""
    assert isinstance(new_worker.monotonic, MovableMonotonic)
    new_worker.monotonic.advance(2 * SILENT_SECONDS)
    return new_worker


def _beat(night: Night, node: str) -> None:
    known = {"boot_id": "b", "slots": 1, "device": "cpu", "release": "1"}
    ledger.beat(night.database, node=node, now=night.clock(), **known)


def test_it_is_killed_at_the_second_look_and_started_again(worker: Child, night: Night) -> None:
    """As any child that died."""
    silent = SilentWorker(worker, night.database, night.clock)
    _beat(night, worker_node())
    night.clock.advance(seconds=SILENT_SECONDS + 1)
    assert [silent.look(), silent.look()] == [False, True]
    assert not worker.is_alive
    assert "worker ended (killed by SIGKILL)" in (worker.look_after() or "")


def test_a_worker_that_beats_again_is_left_in_peace(worker: Child, night: Night) -> None:
    """Its database had been away."""
    silent = SilentWorker(worker, night.database, night.clock)
    night.clock.advance(seconds=SILENT_SECONDS + 1)
    assert not silent.look()
    _beat(night, worker_node())
    assert [silent.look(), silent.look()] == [False, False]
    assert worker.is_alive


def test_another_hosts_heartbeat_does_not_count(worker: Child, night: Night) -> None:
    """Each host looks after its own."""
    silent = SilentWorker(worker, night.database, night.clock)
    _beat(night, "nightread@elsewhere")
    assert [silent.look(), silent.look()] == [False, True]


def test_a_worker_that_has_just_started_needs_its_time(new_worker: Child, night: Night) -> None:
    """Loading TensorFlow takes seconds."""
    silent = SilentWorker(new_worker, night.database, night.clock)
    assert [silent.look(), silent.look()] == [False, False]
