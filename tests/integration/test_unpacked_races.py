"""The sweep of unpacked files and a worker that unpacks, or lists, the same folder do not disturb each other."""

import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from archive_files import zip_file
from dicom_files import phantom
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver

from db import queries
from db.tables import State
from nightread.clock import utc_now
from producer.spool import unpacked
from producer.spool.unpacked import keep_purging, purge_unpacked
from worker.archives import expand


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver whose inbox has had an archive with one image, and whose clock shows the real time."""
    ledger_driver.clock.now = utc_now()
    driver = WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)
    driver.put(disc=zip_file({"IM1": phantom(1)}))
    context = driver.context()
    while driver.analyse(context):
        continue
    return driver


def _root(worker_driver: WorkerDriver) -> Path:
    return worker_driver.settings().spool_folder / "archives"


def _complete_during_removal(monkeypatch: pytest.MonkeyPatch, partial: Path, folder: Path) -> list[str]:
    """Let a process thought dead rename its folder while it is being removed. Returns how each attempt ended."""
    ended: list[str] = []
    remove = shutil.rmtree

    def interrupted(path: Path, **options: Any) -> None:
        (next(iter(path.iterdir()))).unlink()
        try:
            partial.rename(folder)
            ended.append("renamed")
        except FileNotFoundError:
            ended.append("gone")
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    return ended


def _partial(worker_driver: WorkerDriver, name: str) -> Path:
    partial = _root(worker_driver) / f".partial-{name}-x"
    partial.mkdir()
    for number in (1, 2):
        (partial / f"{number:06}.dcm").write_bytes(b"x")
    return partial


def test_a_folder_that_is_swept_cannot_become_complete(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of its files would be taken for all of them."""
    archive = worker_driver.ledger_driver.instances()[0].id
    partial, folder = _partial(worker_driver, str(archive)), _root(worker_driver) / "20200101" / f"{archive}-y"
    folder.parent.mkdir()
    ended = _complete_during_removal(monkeypatch, partial, folder)
    _sweep(worker_driver)
    assert ended == ["gone"]
    assert not folder.exists()


def test_a_folder_that_the_next_attempt_removes_cannot_become_complete(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier attempt only seemed to be dead."""
    claimed: Any = type("Claimed", (), {"instance_id": 9})
    partial, folder = _partial(worker_driver, "9"), _root(worker_driver) / "9-y"
    ended = _complete_during_removal(monkeypatch, partial, folder)
    with expand._partial_folder(_root(worker_driver), claimed):
        monkeypatch.undo()
    assert ended == ["gone"]
    assert not folder.exists()


@pytest.mark.parametrize("is_registered", [False, True], ids=["running", "registered"])
def test_a_folder_that_a_worker_has_listed_comes_back(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch, is_registered: bool
) -> None:
    """The archive was retried just after the sweep had looked at its state."""
    archive = worker_driver.ledger_driver.instances()[0].id
    folder = _root(worker_driver) / "20200101" / f"{archive}-y"
    folder.mkdir(parents=True)
    (folder / "000001.dcm").write_bytes(b"x")
    set_aside = unpacked.set_aside

    def begin_then_set_aside(path: Path, root: Path) -> Path | None:
        if is_registered:
            monkeypatch.setattr(queries, "missing_from_ledger", lambda *_: [])
        else:
            monkeypatch.setattr(queries, "archive_states", lambda *_: {archive: State.RUNNING})
        return set_aside(path, root)

    monkeypatch.setattr(unpacked, "set_aside", begin_then_set_aside)
    _sweep(worker_driver)
    assert [path.name for path in folder.iterdir()] == ["000001.dcm"]
    monkeypatch.undo()
    _sweep(worker_driver)
    assert not folder.exists()


def test_what_a_dead_process_had_set_aside_goes_at_the_start(worker_driver: WorkerDriver) -> None:
    """Not only after ten minutes."""
    left = _root(worker_driver) / ".removed-0"
    left.mkdir()
    (left / "000001.dcm").write_bytes(b"x")
    stop = threading.Event()
    stop.set()
    keep_purging(worker_driver.ledger_driver.database, worker_driver.settings(), stop)
    assert not left.exists()
    states = Counter(row.state for row in worker_driver.ledger_driver.work())
    assert states == {"expanded": 1, "done": 1}


def _sweep(worker_driver: WorkerDriver) -> None:
    driver = worker_driver.ledger_driver
    purge_unpacked(driver.database, worker_driver.settings(), clock=driver.clock)
