"""Decoder processes read and prepare the images of a worker process; every outcome stays the same."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from archive_files import zip_file
from databases import NewSqlite
from dicom_files import cine, damaged, darkened, flickering, phantom, structured_report, with_values
from faults_poison.poison import HANG, HOG, KILL
from ledger_driver import LedgerDriver, SettableClock
from worker_driver import Array, FakeNetwork, WorkerDriver

from db import ledger
from db.ledger import Claimed
from db.tables import predictions
from imaging.patient import PatientHasher
from worker.context import WorkerContext
from worker.decoders import pool as pools
from worker.fetching.files import Fetched
from worker.prepared_image import PreparedImage
from worker.reading import ImageReader

FAULTS = Path(__file__).parents[1] / "faults_poison"
pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="decoder processes need Linux")


def _brightness(inputs: Array) -> Array:
    """Return scores that depend on every pixel of the inputs."""
    bright = np.tanh(np.abs(inputs).mean(axis=(1, 2, 3), dtype=np.float64))
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def _driver(folder: Path, new_sqlite: NewSqlite, redis_url: str) -> Iterator[WorkerDriver]:
    folder.mkdir()
    clock = SettableClock(datetime(2100, 1, 1, tzinfo=UTC))  # no file is so young that it may still be arriving
    with new_sqlite(folder / "nightread.sqlite3") as database:
        source = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        bundle = ledger.register_bundle(
            database,
            name="phantom",
            version="1",
            digest="d" * 64,
            labels=["normal", "nodule"],
            normal_label="normal",
            now=clock(),
        )
        yield WorkerDriver(
            ledger_driver=LedgerDriver(database=database, clock=clock, source_id=source),
            folder=folder,
            redis_url=redis_url,
            bundle_id=bundle,
            network=FakeNetwork(_brightness),
        )


@pytest.fixture
def worker_driver(tmp_path: Path, new_sqlite: NewSqlite, redis_url: str) -> Iterator[WorkerDriver]:
    """Yield a driver with an empty inbox, whose workers have decoders."""
    yield from _driver(tmp_path / "with", new_sqlite, redis_url)


@pytest.fixture
def plain_driver(tmp_path: Path, new_sqlite: NewSqlite, redis_url: str) -> Iterator[WorkerDriver]:
    """Yield a driver with an empty inbox, whose workers decode by themselves."""
    yield from _driver(tmp_path / "without", new_sqlite, redis_url)


OpenContext = Callable[..., WorkerContext]


@pytest.fixture
def open_context(worker_driver: WorkerDriver) -> Iterator[OpenContext]:
    """A function: it returns a context with two decoders, and with the options that a test names."""
    opened: list[WorkerContext] = []

    def open_one(**options: Any) -> WorkerContext:
        opened.append(worker_driver.context(**{"decoders": 2, **options}))
        opened[-1].open_decode_pool()
        return opened[-1]

    yield open_one
    for context in opened:
        context.trial_reader.close()
        if context.decode_pool is not None:
            context.decode_pool.close()


@pytest.fixture
def context(open_context: OpenContext, monkeypatch: pytest.MonkeyPatch) -> WorkerContext:
    """A context whose decoders obey the poison at the end of a file; this process does not."""
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    return open_context(image_timeout_seconds=1, image_memory_bytes=256 * 1024**2)


def _rows(driver: WorkerDriver) -> dict[str, list[dict[str, Any]]]:
    """Return what the database holds of each file, without times and random numbers."""
    uris = {row.id: row.uri for row in driver.ledger_driver.instances()}
    left_out = {"batch_id", "not_before", "lease_until", "tried_since", "arrived_at", "mtime_ns"}
    found: dict[str, list[dict[str, Any]]] = {uri: [] for uri in uris.values()}
    with driver.ledger_driver.database.read() as connection:
        frames = [dict(row._mapping) for row in connection.execute(predictions.select())]
    for row in [*driver.ledger_driver.instances(), *driver.ledger_driver.work()]:
        values = {name: value for name, value in row._mapping.items() if name not in left_out}
        found[uris[values.get("instance_id", values["id"])]].append(values)
    found["frames"] = frames
    return found


def _opt_out(driver: LedgerDriver, number: str) -> None:
    key = PatientHasher(b"a key for tests").number_key(number)
    assert key is not None
    ledger.add_opt_out(driver.database, (key,), number_key=key, key_id="k", actor="ann", now=driver.clock())


def _mixed() -> dict[str, bytes]:
    """Return images that decoders prepare, and all kinds that they leave to the worker process."""
    return {
        **{
            f"good-{index}": with_values(index, PatientID=f"patient-{index}", AccessionNumber="7") for index in range(9)
        },
        "copy": phantom(20),
        "copy-of-it": phantom(20),
        "without-uid": with_values(27, SOPInstanceUID=""),
        "dark": darkened(21, 0.2),
        "flickering": flickering(22, [False, True, False]),
        "long": cine(23, frames=3),
        "damaged": damaged(24),
        "report": structured_report(),
        "text": b"not a scan",
        "empty": b"",
        "cut": phantom(25)[:-100],
        "archive.zip": zip_file({"inside": phantom(26)}),
    }


def test_every_outcome_is_that_of_a_worker_without_decoders(
    worker_driver: WorkerDriver, plain_driver: WorkerDriver, open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts, keys of patients, labels, scores of frames, remarks and reasons are equal, for images of all kinds."""
    context = open_context(arrival_timeout_seconds=0)
    files = _mixed()
    for driver in (worker_driver, plain_driver):
        _opt_out(driver.ledger_driver, "patient-4")
        driver.put(**files)
    prepared_here: list[str] = []
    prepare = ImageReader.prepare

    def noted(reader: ImageReader, image: Claimed, file: Fetched) -> PreparedImage:
        prepared_here.append(image.uri)
        return prepare(reader, image, file)

    with monkeypatch.context() as patch:
        patch.setattr(ImageReader, "prepare", noted)
        with_decoders = worker_driver.analyse(context)
    assert sorted(prepared_here) == ["cut", "damaged", "empty", "report", "text"]
    plain = plain_driver.context(arrival_timeout_seconds=0)
    without = plain_driver.analyse(plain)
    assert with_decoders == without
    assert with_decoders["done"] >= 12
    assert _rows(worker_driver) == _rows(plain_driver)
    assert worker_driver.outcomes()["good-4"] == ("rejected", "opted_out")
    assert context.patient.issuers == plain.patient.issuers


def test_decoders_know_no_password(
    worker_driver: WorkerDriver, open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read files of strangers, so no setting of nightread is in their environment.

    The environment of a process can be read once it runs: it has decoded a file.
    """
    monkeypatch.setenv("NIGHTREAD_SITE_KEY", "canary")
    monkeypatch.setenv("OTHER_VARIABLE", "passed on")
    context = open_context()
    pool = context.decode_pool
    assert pool is not None
    worker_driver.put(a=phantom(1))
    assert worker_driver.analyse(context) == {"done": 1}
    environment = Path(f"/proc/{pool._process.process.pid}/environ").read_bytes()
    assert b"OTHER_VARIABLE=passed on" in environment
    assert b"NIGHTREAD_" not in environment
    assert b"canary" not in environment


@pytest.mark.slow
def test_poison_kills_only_decoders(worker_driver: WorkerDriver, context: WorkerContext) -> None:
    """Bad images get their reasons, good ones are done, and this process reads no bad image."""
    worker_driver.put(
        a=phantom(1), b=phantom(2) + KILL, c=phantom(3), d=phantom(4) + HANG, e=phantom(5) + HOG, f=phantom(6)
    )
    assert worker_driver.analyse(context) == {"done": 3, "failed": 2, "received": 1}
    assert worker_driver.analyse(context) == {"failed": 1}
    assert worker_driver.outcomes() == {
        "a": ("done", None),
        "b": ("failed", "killed_worker"),
        "c": ("done", None),
        "d": ("failed", "timeout"),
        "e": ("failed", "out_of_memory"),
        "f": ("done", None),
    }


def _decoders_of(pool: pools.DecodePool) -> list[psutil.Process]:
    """Return the process that forks the decoders, and the decoders."""
    forker = psutil.Process(pool._process.process.pid)
    return [forker, *forker.children()]


@pytest.mark.slow
def test_decoders_that_are_killed_are_replaced_and_every_image_is_done(
    worker_driver: WorkerDriver, open_context: OpenContext
) -> None:
    """One of them, both, and the process that forks them. Requests that wait in a dead decoder go to its successor."""
    context = open_context()
    pool = context.decode_pool
    assert pool is not None
    pool.wait_until_ready()
    submit = pool.submit
    victims = {5: slice(1, 2), 15: slice(1, 3), 25: slice(0, 1)}
    killed: list[psutil.Process] = []

    def submit_and_kill(image: Claimed) -> int:
        number = submit(image)
        processes = _decoders_of(pool)
        for process in processes[victims[number]] if number in victims else ():
            process.kill()
            killed.append(process)
        if processes[0] in killed:  # the kernel kills the decoders a little later: until then they would go on
            psutil.wait_procs(processes[1:])
        return number

    pool.submit = submit_and_kill  # type: ignore[method-assign]
    worker_driver.put(**{f"image-{index}": phantom(index) for index in range(35)})
    assert worker_driver.analyse(context) == {"done": 35}
    assert len(killed) == 4
    assert not set(killed) & set(_decoders_of(pool))


def test_without_a_decoder_that_starts_the_worker_reads_all_images(
    worker_driver: WorkerDriver, open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three attempts per decoder nobody waits for them any more."""
    monkeypatch.setattr(pools, "_MODULE", "nightread.no_such_module")
    context = open_context()
    worker_driver.put(a=phantom(1), b=phantom(2))
    assert worker_driver.analyse(context) == {"done": 2}
    assert context.decode_pool is not None
    assert context.decode_pool.is_lost


_WORKER = """
import sys
from types import SimpleNamespace
import psutil
from imaging.limits import Limits
from models.catalogue import find_bundle
from models.routing import Rule, Rules
from nightread.settings import load_settings
from worker.decoders.pool import DecodePool
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor
bundle = find_bundle("phantom", ())
model = LoadedModel(predictor=Predictor(bundle, SimpleNamespace(runtime="none")), bundle_id=1)
models = ModelSet(Rules([Rule(bundle=bundle.reference)]), {bundle.reference: model})
pool = DecodePool(load_settings(None, decoders=2), Limits(), models, record_death=lambda: None)
pool.wait_until_ready()
forker = psutil.Process(pool._process.process.pid)
print(forker.pid, *(process.pid for process in forker.children()), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_no_decoder_outlives_its_worker_process() -> None:
    """Their memory has no name, so nothing is left of it either."""
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        decoders = [psutil.Process(int(process_id)) for process_id in worker.stdout.readline().split()]
        assert len(decoders) == 3
        worker.kill()
        assert psutil.wait_procs(decoders, timeout=30)[1] == []
