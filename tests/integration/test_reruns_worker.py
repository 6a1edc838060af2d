"""A worker analyses the rows of a re-run with the networks of the re-run, and reads each image once."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from dicom_files import phantom
from ledger_driver import LedgerDriver
from worker_driver import BUNDLE, Array, FakeNetwork, WorkerDriver

from db import ledger, queries
from db.ledger import Claimed, RerunPlan
from db.queries.bundles import bundles_by_id
from db.store_tables import opt_outs
from models.bundle import Bundle
from worker.fetching.files import Fetched
from worker.inference import rerun_models
from worker.inference.model_set import LoadedModel
from worker.inference.predictor import Predictor
from worker.prepared_image import PreparedImage
from worker.reading import ImageReader


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


@dataclass
class TrialNetworks:
    """The networks of a re-run by name; a name without a network is a bundle that this host does not have."""

    worker_driver: WorkerDriver
    by_name: dict[str, FakeNetwork] = field(default_factory=dict)

    def register(self, name: str) -> int:
        """Register the bundle of this name, and return its id."""
        return ledger.register_bundle(
            self.worker_driver.ledger_driver.database,
            name=name,
            version=BUNDLE.version,
            digest=name.ljust(64, "0"),
            labels=BUNDLE.labels,
            normal_label=BUNDLE.postprocessing.normal_label,
            now=self.worker_driver.ledger_driver.clock(),
        )

    def find(self, reference: str, digest: str, _folders: object) -> Bundle | None:
        """Return the bundle, as models.catalogue.bundle_of_result does."""
        name = reference.partition("@")[0]
        return replace(BUNDLE, name=name, digest=digest) if name in self.by_name else None

    def load(self, bundle: Bundle, _settings: object, _database: object) -> LoadedModel:
        """Return the loaded network, as worker.inference.model_set.load_model does."""
        predictor = Predictor(bundle, self.by_name[bundle.name])
        return LoadedModel(predictor=predictor, bundle_id=self.register(bundle.name))

    def plan(self, *names: str, shadow: bool = False) -> RerunPlan:
        """Order a re-run of all images with the bundles of these names."""
        driver = self.worker_driver.ledger_driver
        images, wanted = [row.id for row in driver.instances()], [self.register(name) for name in names]
        return ledger.plan_rerun(driver.database, images, wanted, shadow=shadow, actor="ann", now=driver.clock())

    def labels(self) -> list[tuple[int, str, str | None, str]]:
        """Return (image, bundle, label or reason, state) of the rows of re-runs."""
        driver = self.worker_driver.ledger_driver
        with driver.database.read() as connection:
            named = {each: bundle.name for each, bundle in bundles_by_id(connection).items()}
        rows = [row for row in driver.work() if row.ordinal > 0]
        return [(row.instance_id, named[row.bundle_id], row.label or row.reason, row.state) for row in rows]


@pytest.fixture
def trials(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> TrialNetworks:
    """Replace the folder of bundles and the loading of networks by those of a test."""
    trials = TrialNetworks(worker_driver)
    monkeypatch.setattr(rerun_models, "bundle_of_result", trials.find)
    monkeypatch.setattr(rerun_models, "load_model", trials.load)
    return trials


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the images that were read and prepared, in order."""
    prepared: list[int] = []
    prepare = ImageReader.prepare

    def noted(reader: ImageReader, image: Claimed, file: Fetched) -> PreparedImage:
        prepared.append(image.instance_id)
        return prepare(reader, image, file)

    monkeypatch.setattr(ImageReader, "prepare", noted)
    return prepared


def certain(inputs: Array) -> Array:
    """Return scores with a nodule in every frame."""
    return np.tile(np.array([[0.0, 1.0]], np.float32), (len(inputs), 1))


def broken(_inputs: Array) -> Array:
    """Fail as a network does that the device cannot run."""
    raise RuntimeError("no kernel")


def test_several_networks_read_an_image_once(
    worker_driver: WorkerDriver, trials: TrialNetworks, reads: list[int]
) -> None:
    """Both bundles have a result for each image, the first results stay, and each file is read once more."""
    trials.by_name |= {"new": FakeNetwork(certain), "other": FakeNetwork()}
    worker_driver.put(a=phantom(1), b=phantom(2))
    context = worker_driver.context()
    assert worker_driver.analyse(context) == {"done": 2}
    before = worker_driver.ledger_driver.work()
    reads.clear()
    assert trials.plan("new", "other") == RerunPlan(added=4)
    assert worker_driver.analyse(context) == {"done": 4}
    assert reads == [1, 2]
    assert worker_driver.ledger_driver.work()[:2] == before
    assert trials.labels() == [
        (1, "new", "nodule", "done"),
        (1, "other", "clear", "done"),
        (2, "new", "nodule", "done"),
        (2, "other", "clear", "done"),
    ]
    assert not list(queries.violations(worker_driver.ledger_driver.database))


def test_arrivals_keep_their_networks_after_a_rerun(worker_driver: WorkerDriver, trials: TrialNetworks) -> None:
    """The networks of the re-run are used for its batches only."""
    trials.by_name["new"] = FakeNetwork(certain)
    worker_driver.put(a=phantom(1))
    context = worker_driver.context()
    worker_driver.analyse(context)
    trials.plan("new")
    worker_driver.put(b=phantom(2))
    worker_driver.analyse(context)
    rows = {(row.instance_id, row.ordinal): row.label for row in worker_driver.ledger_driver.work()}
    assert rows == {(1, 0): "clear", (1, 1): "nodule", (2, 0): "clear"}


def test_a_removed_file_fails_and_the_others_are_done(worker_driver: WorkerDriver, trials: TrialNetworks) -> None:
    """The row says that the file is missing; when it is back, the same command analyses it."""
    trials.by_name["new"] = FakeNetwork(certain)
    worker_driver.put(a=phantom(1), b=phantom(2))
    context = worker_driver.context()
    worker_driver.analyse(context)
    trials.plan("new")
    (worker_driver.inbox / "a").rename(worker_driver.folder / "elsewhere")
    for _ in range(3):
        worker_driver.analyse(context)
    assert trials.labels() == [(1, "new", "missing_file", "failed"), (2, "new", "nodule", "done")]
    (worker_driver.folder / "elsewhere").rename(worker_driver.inbox / "a")
    assert trials.plan("new") == RerunPlan(again=1, present=1)
    worker_driver.analyse(context)
    assert trials.labels() == [(1, "new", "nodule", "done"), (2, "new", "nodule", "done")]


def test_a_model_that_the_host_does_not_have_fails_its_rows_only(
    worker_driver: WorkerDriver, trials: TrialNetworks
) -> None:
    """The worker goes on with arrivals and with other re-runs."""
    trials.by_name["new"] = FakeNetwork(certain)
    worker_driver.put(a=phantom(1))
    context = worker_driver.context()
    worker_driver.analyse(context)
    trials.plan("absent")
    worker_driver.analyse(context)
    trials.plan("new")
    worker_driver.analyse(context)
    assert trials.labels() == [(1, "absent", "model_missing", "failed"), (1, "new", "nodule", "done")]


def test_a_broken_network_fails_its_own_rows_only(worker_driver: WorkerDriver, trials: TrialNetworks) -> None:
    """A network of a re-run that raises costs neither the worker nor the results of another network."""
    trials.by_name |= {"bad": FakeNetwork(broken), "new": FakeNetwork(certain)}
    worker_driver.put(a=phantom(1))
    context = worker_driver.context()
    worker_driver.analyse(context)
    trials.plan("bad", "new")
    worker_driver.analyse(context)
    assert trials.labels() == [(1, "bad", "internal_error", "failed"), (1, "new", "nodule", "done")]


def test_a_file_with_other_bytes_gets_no_further_result(worker_driver: WorkerDriver, trials: TrialNetworks) -> None:
    """The size and the time of the file are those of the analysed one, and its bytes are not."""
    trials.by_name["new"] = FakeNetwork(certain)
    worker_driver.put(a=phantom(1))
    context = worker_driver.context()
    worker_driver.analyse(context)
    path = worker_driver.inbox / "a"
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    trials.plan("new")
    worker_driver.analyse(context)
    assert trials.labels() == [(1, "new", "still_changing", "failed")]


def test_a_patient_who_opted_out_is_not_analysed_again(worker_driver: WorkerDriver, trials: TrialNetworks) -> None:
    """The worker reads the list of opt-outs before the batch, and the header before the pixels."""
    trials.by_name["new"] = FakeNetwork(certain)
    worker_driver.put(a=phantom(1))
    context = worker_driver.context()
    worker_driver.analyse(context)
    trials.plan("new")
    key = worker_driver.ledger_driver.instances()[0].patient_key
    assert key is not None
    row = {"patient_key": key, "number_key": key, "key_id": "1", "actor": "ann"}
    with worker_driver.ledger_driver.database.writer.begin() as connection:
        connection.execute(opt_outs.insert().values(**row, added_at=worker_driver.ledger_driver.clock()))
    worker_driver.analyse(context)
    assert trials.labels() == [(1, "new", "opted_out", "rejected")]


@pytest.mark.slow
def test_a_network_of_a_rerun_is_dropped_after_ten_minutes(worker_driver: WorkerDriver, trials: TrialNetworks) -> None:
    """Its memory is free again, and the next re-run loads it anew."""
    trials.by_name["new"] = FakeNetwork(certain)
    worker_driver.put(a=phantom(1))
    context = worker_driver.context()
    worker_driver.analyse(context)
    trials.plan("new")
    worker_driver.analyse(context)
    models = context.rerun_models
    bundle_id = trials.register("new")
    first = models.model_set([bundle_id], context.model_set).models.models
    assert models.model_set([bundle_id], context.model_set).models.models == first
    worker_driver.ledger_driver.clock.advance(minutes=11)
    models.drop_unused()
    assert models.model_set([bundle_id], context.model_set).models.models != first
