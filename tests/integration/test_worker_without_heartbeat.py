"""A worker that hangs is ended; one that is merely quiet for a reason is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver
from monotonic import MovableMonotonic

from cli.embedded.children import worker_node
from cli.embedded.silent_worker import SILENT_SECONDS, SilentWorker
from cli.embedded.supervisor import Child
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


def _beat(ledger_driver: LedgerDriver, node: str) -> None:
    known = {"boot_id": "b", "slots": 1, "device": "cpu", "release": "1"}
    ledger.heartbeat(ledger_driver.database, node=node, now=ledger_driver.clock(), **known)


def test_it_is_killed_at_the_second_look_and_started_again(worker: Child, ledger_driver: LedgerDriver) -> None:
    """As any child that died."""
    silent = SilentWorker(worker, ledger_driver.database, ledger_driver.clock)
    _beat(ledger_driver, worker_node())
    ledger_driver.clock.advance(seconds=SILENT_SECONDS + 1)
    assert [silent.check(), silent.check()] == [False, True]
    assert not worker.is_alive
    assert "worker ended (killed by SIGKILL)" in (worker.supervise() or "")


def test_a_worker_that_beats_again_is_left_in_peace(worker: Child, ledger_driver: LedgerDriver) -> None:
    """Its database had been away."""
    silent = SilentWorker(worker, ledger_driver.database, ledger_driver.clock)
    ledger_driver.clock.advance(seconds=SILENT_SECONDS + 1)
    assert not silent.check()
    _beat(ledger_driver, worker_node())
    assert [silent.check(), silent.check()] == [False, False]
    assert worker.is_alive


def test_another_hosts_heartbeat_does_not_count(worker: Child, ledger_driver: LedgerDriver) -> None:
    """Each host looks after its own."""
    silent = SilentWorker(worker, ledger_driver.database, ledger_driver.clock)
    _beat(ledger_driver, "nightread@elsewhere")
    assert [silent.check(), silent.check()] == [False, True]


def test_a_worker_that_has_just_started_needs_its_time(new_worker: Child, ledger_driver: LedgerDriver) -> None:
    """Loading TensorFlow takes seconds."""
    silent = SilentWorker(new_worker, ledger_driver.database, ledger_driver.clock)
    assert [silent.check(), silent.check()] == [False, False]
