"""Analyse images that kill, block or exhaust the process, and batches of dead processes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dicom_files import phantom
from faults_poison.poison import HANG_IN_C, HOG, KILL
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver

from db import ledger
from worker.analyse import analyse
from worker.context import WorkerContext
from worker.isolation.in_flight import InFlightTable

FAULTS = Path(__file__).parents[1] / "faults_poison"


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


@pytest.fixture
def context(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerContext]:
    """Yield a context whose trial process obeys the poison at the end of a file; this process does not."""
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    context = worker_driver.context(image_timeout_seconds=1, image_memory_bytes=256 * 1024**2)
    yield context
    context.trial_reader.close()


def test_after_a_death_poison_kills_no_worker(worker_driver: WorkerDriver, context: WorkerContext) -> None:
    """Each image gets a trial read first: bad images get their reasons, and good images are done."""
    context.slot.record_death()
    worker_driver.put(a=phantom(1), b=phantom(2) + KILL, c=phantom(3), d=phantom(4) + HANG_IN_C, e=phantom(5) + HOG)
    assert worker_driver.analyse(context) == {"done": 2, "failed": 2, "received": 1}
    assert worker_driver.analyse(context) == {"failed": 1}
    assert worker_driver.outcomes() == {
        "a": ("done", None),
        "b": ("failed", "killed_worker"),
        "c": ("done", None),
        "d": ("failed", "timeout"),
        "e": ("failed", "out_of_memory"),
    }


def test_an_image_that_travels_alone_gets_a_trial_read(worker_driver: WorkerDriver, context: WorkerContext) -> None:
    """This holds even if no process has died recently."""
    worker_driver.put(a=phantom(1) + KILL)
    (batch,) = worker_driver.form()
    (image,) = worker_driver.ledger_driver.claim(batch)
    _leave_to_successor(worker_driver, image.work_id)
    assert worker_driver.analyse(context) == {"failed": 1}
    assert worker_driver.outcomes() == {"a": ("failed", "killed_worker")}


def test_a_batch_of_a_dead_sibling_is_requeued_at_its_second_delivery(worker_driver: WorkerDriver) -> None:
    """Its images need not wait for its successor; the image in flight is marked `alone` from now on."""
    table = InFlightTable()
    context = worker_driver.context()
    context.slot = table.slot(0)
    context.slot.take_over()
    worker_driver.put(a=phantom(1), b=phantom(2), c=phantom(3))
    (batch,) = worker_driver.form()
    images = worker_driver.ledger_driver.claim(batch, process=replace(context.process, index=1))
    _die(table, index=1, work_in_flight=images[2].work_id)

    assert analyse(context, batch.id).counts == {}
    assert [(row.state, row.alone) for row in worker_driver.ledger_driver.work()] == [
        ("received", False),
        ("received", False),
        ("received", True),
    ]
    assert context.slot.is_cautious()


def test_a_batch_of_a_living_sibling_is_not_requeued(worker_driver: WorkerDriver) -> None:
    """A second delivery of its message changes nothing."""
    table = InFlightTable()
    context = worker_driver.context()
    context.slot = table.slot(0)
    table.slot(1).take_over()
    worker_driver.put(a=phantom(1))
    (batch,) = worker_driver.form()
    worker_driver.ledger_driver.claim(batch, process=replace(context.process, index=1))

    assert analyse(context, batch.id).counts == {}
    assert worker_driver.ledger_driver.states() == ["running"]


def _die(table: InFlightTable, *, index: int, work_in_flight: int) -> None:
    if (pid := os.fork()) == 0:
        slot = table.slot(index)
        slot.take_over()
        with slot.in_flight(work_in_flight):
            os._exit(1)
    os.waitpid(pid, 0)


def _leave_to_successor(worker_driver: WorkerDriver, work_in_flight: int) -> None:
    ledger.requeue_predecessor(
        worker_driver.ledger_driver.database,
        worker_driver.ledger_driver.process,
        work_in_flight=work_in_flight,
        now=worker_driver.ledger_driver.clock(),
    )
