"""The table of images in flight names an image while a decoder may kill the process, and only then."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from archive_files import zip_file
from dicom_files import cine, phantom
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver, constant_scores

from worker import decode, results
from worker.archives import expand
from worker.context import WorkerContext
from worker.errors import BatchTakenError
from worker.fetching import files
from worker.isolation.in_flight import InFlightTable

STEPS = {"open": (files, "_read_all"), "parse": (decode, "read"), "prepare": (decode, "prepare")}
STEPS |= {"unpack": (expand, "members"), "sidecar": (results, "sidecar_of"), "fail": (results, "outcome_of_error")}


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


class Watched:
    """A worker whose steps are recorded, each with the work id that was marked as in flight."""

    def __init__(self, worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.worker_driver = worker_driver
        self.seen: list[tuple[str, int | None]] = []
        self._table = InFlightTable()
        worker_driver.network.answer = self._watched("predict", constant_scores)
        for step, (module, name) in STEPS.items():
            monkeypatch.setattr(module, name, self._watched(step, getattr(module, name)))

    def context(self, **options: Any) -> WorkerContext:
        """Return a context in the first slot."""
        context = self.worker_driver.context(**options)
        context.slot = self._table.slot(0)
        context.keep_lease = self._watched("progress", context.keep_lease)  # type: ignore[method-assign]
        return context

    def marked(self) -> int | None:
        """Return the work id that is in flight now."""
        return self._table.slot(0).work_in_flight(0)

    def steps(self, *excluded: str) -> list[tuple[str, int | None]]:
        """Return the recorded steps without the excluded ones."""
        return [(step, marked) for step, marked in self.seen if step not in excluded]

    def _watched(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.seen.append((step, self.marked()))
            return function(*arguments, **named)

        return call


@pytest.fixture
def watched(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Return a worker whose steps are recorded."""
    return Watched(worker_driver, monkeypatch)


def test_an_image_is_marked_while_it_is_opened_parsed_and_prepared(watched: Watched) -> None:
    """Nothing is marked during prediction, database calls and lease renewal: they do not read the image's bytes."""
    watched.worker_driver.put(a=phantom(1), b=phantom(2))
    assert watched.worker_driver.analyse(watched.context()) == {"done": 2}
    first, second = (row.id for row in watched.worker_driver.ledger_driver.work())
    assert watched.seen == [
        ("progress", None),
        *((step, first) for step in ("open", "parse", "prepare")),
        ("progress", None),
        *((step, second) for step in ("open", "parse", "prepare")),
        ("progress", None),
        ("progress", None),
        ("predict", None),
    ]
    assert watched.marked() is None


@pytest.mark.slow
def test_a_long_cine_is_marked_whenever_frames_of_it_are_decoded(watched: Watched) -> None:
    """Its chunks are decoded while the network scores the earlier ones."""
    watched.worker_driver.put(a=phantom(1), long=cine(2, frames=130))
    assert watched.worker_driver.analyse(watched.context()) == {"done": 2}
    first, long = (row.id for row in watched.worker_driver.ledger_driver.work())
    in_order = [step for step, _ in groupby(watched.steps("open", "parse", "progress"))]
    assert in_order == [("prepare", first), *[("prepare", long), ("predict", None)] * 3]
    assert watched.marked() is None


def test_an_archive_is_marked_while_it_is_unpacked(watched: Watched) -> None:
    """A decompressor can kill the process as a decoder can."""
    watched.worker_driver.put(disc=zip_file({"IM1": phantom(1)}))
    assert watched.worker_driver.analyse(watched.context()) == {"expanded": 1}
    (archive, _) = (row.id for row in watched.worker_driver.ledger_driver.work())
    steps = [step for step in watched.steps() if step != ("progress", archive)]
    assert steps == [("progress", None), ("open", archive), ("unpack", archive)]
    assert watched.marked() is None


def test_a_file_is_marked_while_a_sidecar_is_looked_for_in_it(watched: Watched) -> None:
    """A rejected file is parsed a second time; afterwards the next image is marked."""
    watched.worker_driver.put(a=b"no image", b=phantom(2))
    watched.worker_driver.analyse(watched.context(arrival_timeout_seconds=0))
    bad, good = (row.id for row in watched.worker_driver.ledger_driver.work())
    assert watched.steps("progress", "predict") == [
        *((step, bad) for step in ("open", "parse", "sidecar", "fail")),
        *((step, good) for step in ("open", "parse", "prepare")),
    ]
    assert watched.marked() is None


@pytest.mark.slow
def test_nothing_is_marked_while_a_network_runs_in_a_thread(watched: Watched) -> None:
    """Either the decoder or the network could have ended the process."""
    watched.worker_driver.put(a=phantom(1), long=cine(2, frames=70))
    context = watched.context()
    with ThreadPoolExecutor(1) as context.network_thread:
        assert watched.worker_driver.analyse(context) == {"done": 2}
    assert {marked for _, marked in watched.seen} == {None}


def test_nothing_stays_marked_if_a_batch_ends_early(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes the batch while an archive is unpacked."""

    def lose_the_batch(*_: object) -> None:
        raise BatchTakenError

    watched.worker_driver.put(disc=zip_file({"IM1": phantom(1)}))
    monkeypatch.setattr(expand, "members", lose_the_batch)
    with pytest.raises(BatchTakenError):
        watched.worker_driver.analyse(watched.context())
    assert watched.marked() is None
