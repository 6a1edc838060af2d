"""Unpack an archive exactly once, whatever interrupts the unpacking."""

import errno
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from archive_files import zip_file
from ledger_driver import LedgerDriver
from unpacking import analyse_all, outcomes, scans, spool
from worker_driver import WorkerDriver

from db import ledger
from nightread.clock import utc_now
from worker.analyse import analyse


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image, whose clock shows the real time."""
    ledger_driver.clock.now = utc_now()
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def test_files_unpacked_before_a_crash_are_reused(worker_driver: WorkerDriver) -> None:
    """The next process that gets the archive uses the same files as members, and makes no others."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            analyse(worker_driver.context(), batch.id)
    unpacked = {path: path.stat().st_mtime_ns for path in spool(worker_driver) if path.is_file()}
    assert len(unpacked) == 2
    assert (
        ledger.requeue_predecessor(
            worker_driver.ledger_driver.database,
            worker_driver.ledger_driver.process,
            now=worker_driver.ledger_driver.clock(),
        )
        == 1
    )
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}
    assert {path: path.stat().st_mtime_ns for path in spool(worker_driver) if path.is_file()} == unpacked


def test_a_partly_unpacked_archive_is_unpacked_again(worker_driver: WorkerDriver) -> None:
    """Partial folders of the same archive are removed, and all that are older than a day."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    root = worker_driver.settings().spool_folder / "archives"
    for name in (".partial-1-a", ".partial-77-b"):
        (root / name).mkdir(parents=True)
        (root / name / "000001.dcm").write_bytes(b"half")
    os.utime(root / ".partial-77-b", (0, 0))
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_does_not_fail_the_archive(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is retried, and no partial files remain."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    worker_driver.put(disc=zip_file(scans(1)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        worker_driver.analyse(worker_driver.context())
    assert outcomes(worker_driver) == {("received", "no_room"): 1}
    assert [path for path in spool(worker_driver) if path.is_file()] == []
    assert analyse_all(worker_driver)["done", None] == 1


def test_the_disk_reserve_is_respected(worker_driver: WorkerDriver) -> None:
    """Unpacking stops before the free space falls below the reserve."""
    worker_driver.put(disc=zip_file(scans(1)))
    worker_driver.analyse(worker_driver.context(disk_reserve_bytes=2**60))
    assert outcomes(worker_driver) == {("received", "no_room"): 1}


def test_a_second_delivery_adds_nothing(worker_driver: WorkerDriver) -> None:
    """The second delivery of the batch claims no image, so there are no new members."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    assert analyse(worker_driver.context(), batch.id) == {"expanded": 1}
    assert analyse(worker_driver.context(), batch.id) == {}
    assert len(worker_driver.ledger_driver.instances()) == 3


def test_an_archive_that_was_requeued_meanwhile_registers_no_members(worker_driver: WorkerDriver) -> None:
    """The process that claims it next registers them, and finds the unpacked files."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    record = ledger.record

    def too_late(*arguments: Any, **named: Any) -> Counter[str]:
        ledger.requeue_predecessor(
            worker_driver.ledger_driver.database,
            worker_driver.ledger_driver.process,
            now=worker_driver.ledger_driver.clock(),
        )
        return record(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", too_late)
        assert analyse(worker_driver.context(), batch.id) == {}
    assert len(worker_driver.ledger_driver.instances()) == 1
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}


def _interrupt(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt
