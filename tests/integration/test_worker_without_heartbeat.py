"""End a worker that sends no heartbeats, unless there is a good reason for its silence."""

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
    """Yield a process that has just started and sends no heartbeats."""
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
    """Return the same process after it has run for a long time."""
    assert isinstance(new_worker.monotonic, MovableMonotonic)
    new_worker.monotonic.advance(2 * SILENT_SECONDS)
    return new_worker


def _send_heartbeat(ledger_driver: LedgerDriver, node: str) -> None:
    known = {"boot_id": "b", "slots": 1, "device": "cpu", "release": "1"}
    ledger.heartbeat(ledger_driver.database, node=node, now=ledger_driver.clock(), **known)


def test_it_is_killed_at_the_second_check_and_restarted(worker: Child, ledger_driver: LedgerDriver) -> None:
    """It is restarted as any child that died."""
    silent = SilentWorker(worker, ledger_driver.database, ledger_driver.clock)
    _send_heartbeat(ledger_driver, worker_node())
    ledger_driver.clock.advance(seconds=SILENT_SECONDS + 1)
    assert [silent.check(), silent.check()] == [False, True]
    assert not worker.is_alive
    assert "worker ended (killed by SIGKILL)" in (worker.supervise() or "")


def test_a_worker_whose_heartbeats_return_is_not_killed(worker: Child, ledger_driver: LedgerDriver) -> None:
    """Its database was unavailable for a while."""
    silent = SilentWorker(worker, ledger_driver.database, ledger_driver.clock)
    ledger_driver.clock.advance(seconds=SILENT_SECONDS + 1)
    assert not silent.check()
    _send_heartbeat(ledger_driver, worker_node())
    assert [silent.check(), silent.check()] == [False, False]
    assert worker.is_alive


def test_another_hosts_heartbeat_does_not_count(worker: Child, ledger_driver: LedgerDriver) -> None:
    """Each host checks only its own worker."""
    silent = SilentWorker(worker, ledger_driver.database, ledger_driver.clock)
    _send_heartbeat(ledger_driver, "nightread@elsewhere")
    assert [silent.check(), silent.check()] == [False, True]


def test_a_worker_that_has_just_started_is_not_killed(new_worker: Child, ledger_driver: LedgerDriver) -> None:
    """Loading TensorFlow takes seconds."""
    silent = SilentWorker(new_worker, ledger_driver.database, ledger_driver.clock)
    assert [silent.check(), silent.check()] == [False, False]
