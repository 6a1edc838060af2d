"""A model of a re-run that a worker cannot use fails its own rows only, and they say what is missing."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from dicom_files import phantom
from ledger_driver import LedgerDriver
from worker_driver import SHIPPED, WorkerDriver

from db import ledger, queries
from db.ledger import RerunPlan
from models.bundle import Bundle, load_bundle, save_bundle
from worker.inference.predictor import Predictor

THERE, MISSING = "9.0", "9.1"


@pytest.fixture
def worker_driver(
    ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int, monkeypatch: pytest.MonkeyPatch
) -> WorkerDriver:
    """Return a driver whose inbox has two images. Its bundles have ONNX files only."""
    monkeypatch.setenv("NIGHTREAD_RUNTIME", "auto")
    driver = WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)
    driver.put(a=phantom(1), b=phantom(2))
    return driver


def folder_of(driver: WorkerDriver, version: str) -> Path:
    """Return the folder of this version in the state folder."""
    return driver.settings().state_dir / "bundles" / f"phantom-{version}"


def save(driver: WorkerDriver, version: str, temperature: float = 1) -> Bundle:
    """Save the shipped network as a bundle of this version."""
    folder = folder_of(driver, version)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SHIPPED.onnx_file, folder)
    postprocessing = replace(SHIPPED.postprocessing, temperature=temperature)
    save_bundle(replace(SHIPPED, version=version, postprocessing=postprocessing), folder)
    return load_bundle(folder)


def register(driver: WorkerDriver, bundle: Bundle) -> int:
    """Register the bundle, and return its id."""
    return ledger.register_bundle(
        driver.ledger_driver.database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=bundle.labels,
        normal_label=bundle.postprocessing.normal_label,
        now=driver.ledger_driver.clock(),
    )


def plan(driver: WorkerDriver, *bundles: Bundle) -> RerunPlan:
    """Order a re-run of all images with these bundles."""
    database, now = driver.ledger_driver.database, driver.ledger_driver.clock()
    ids = [register(driver, bundle) for bundle in bundles]
    images = [row.id for row in driver.ledger_driver.instances()]
    return ledger.plan_rerun(database, images, ids, shadow=False, actor="ann", now=now)


def outcomes(driver: WorkerDriver) -> list[tuple[int, int, str, str | None]]:
    """Return (image, ordinal, state, reason) of the rows of re-runs."""
    rows = [row for row in driver.ledger_driver.work() if row.ordinal > 0]
    return [(row.instance_id, row.ordinal, row.state, row.reason) for row in rows]


def remove(driver: WorkerDriver) -> None:
    """Remove the folder of the bundle."""
    shutil.rmtree(folder_of(driver, MISSING))


def replace_by_another(driver: WorkerDriver) -> None:
    """Save a bundle of another digest in the folder."""
    save(driver, MISSING, temperature=2)


def damage(driver: WorkerDriver) -> None:
    """Overwrite the network."""
    (folder_of(driver, MISSING) / SHIPPED.onnx_file.name).write_bytes(b"no network")


def forbid(driver: WorkerDriver) -> None:
    """Put a folder in the place of the network."""
    network = folder_of(driver, MISSING) / SHIPPED.onnx_file.name
    network.unlink()
    network.mkdir()


@pytest.mark.parametrize(
    ("break_bundle", "why"),
    [
        pytest.param(remove, "The worker's host does not have the model phantom@9.1.", id="removed"),
        pytest.param(
            replace_by_another,
            "The folder of phantom@9.1 on the worker's host does not hold the model of this re-run",
            id="replaced",
            marks=pytest.mark.slow,
        ),
        pytest.param(damage, "The worker cannot load the model phantom@9.1.", id="damaged", marks=pytest.mark.slow),
        pytest.param(forbid, "The worker cannot load the model phantom@9.1.", id="unreadable", marks=pytest.mark.slow),
    ],
)
def test_a_missing_model_fails_its_own_rows_only(
    worker_driver: WorkerDriver, break_bundle: Callable[[WorkerDriver], None], why: str
) -> None:
    """The other model of the same images has its results; when the folder is back, the same command does the rest."""
    context = worker_driver.context()
    worker_driver.analyse(context)
    bundles = save(worker_driver, THERE), save(worker_driver, MISSING)
    assert plan(worker_driver, *bundles) == RerunPlan(added=4)
    break_bundle(worker_driver)
    assert worker_driver.analyse(context) == {"done": 2, "failed": 2}
    assert outcomes(worker_driver) == [
        (image, ordinal, *ending)
        for image in (1, 2)
        for ordinal, ending in ((1, ("done", None)), (2, ("failed", "model_missing")))
    ]
    details = {row.detail for row in worker_driver.ledger_driver.work() if row.state == "failed"}
    assert len(details) == 1
    assert details.pop().startswith(why)
    shutil.rmtree(folder_of(worker_driver, MISSING), ignore_errors=True)
    save(worker_driver, MISSING)
    assert plan(worker_driver, *bundles) == RerunPlan(again=2, present=2)
    assert worker_driver.analyse(context) == {"done": 2}
    assert {ending for _, _, *ending in outcomes(worker_driver) for ending in ending} == {"done", None}
    assert not list(queries.violations(worker_driver.ledger_driver.database))


@pytest.mark.slow
def test_a_model_that_the_device_cannot_run_fails_its_own_rows_only(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of its first run is no error of the batch."""
    warm_up = Predictor.warm_up

    def fail(predictor: Predictor) -> None:
        if predictor.bundle.version == MISSING:
            raise RuntimeError("no kernel")
        warm_up(predictor)

    monkeypatch.setattr(Predictor, "warm_up", fail)
    context = worker_driver.context()
    worker_driver.analyse(context)
    plan(worker_driver, save(worker_driver, MISSING), save(worker_driver, THERE))
    assert worker_driver.analyse(context) == {"done": 2, "failed": 2}
    assert outcomes(worker_driver)[:2] == [(1, 1, "failed", "model_missing"), (1, 2, "done", None)]


@pytest.mark.slow
def test_two_models_of_one_name_are_not_mixed_up(worker_driver: WorkerDriver) -> None:
    """The worker still has the earlier model loaded, and the folder holds another one of the same name."""
    context = worker_driver.context()
    worker_driver.analyse(context)
    earlier = save(worker_driver, THERE)
    context.rerun_models.model_set([register(worker_driver, earlier)], context.model_set)
    later = save(worker_driver, THERE, temperature=2)
    assert plan(worker_driver, earlier, later) == RerunPlan(added=4)
    assert worker_driver.analyse(context) == {"done": 2, "failed": 2}
    failed = [row for row in worker_driver.ledger_driver.work() if row.state == "failed"]
    assert [(row.instance_id, row.ordinal, row.reason) for row in failed] == [
        (image, 2, "model_missing") for image in (1, 2)
    ]
    assert failed[0].detail.startswith("Two models that are named phantom@9.0 were")
    assert plan(worker_driver, later) == RerunPlan(again=2)
    assert worker_driver.analyse(context) == {"done": 2}
