"""A bundle whose channels show windows analyses single images; one that needs neighbours refuses them, for itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_files import phantom
from domain_driver import analysed, model
from ledger_driver import LedgerDriver
from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from db import queries
from db.queries import ImageFilter
from imaging.array import Array
from imaging.input_channel import InputChannel
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec
from models.routing import Role
from worker.inference.model_set import LoadedModel
from worker.inference.predictor import Predictor

WINDOWS = tuple(InputChannel(window=(low, low + 1000.0)) for low in (0.0, 500.0, 1000.0, 2000.0))
NEIGHBOURS = (InputChannel(offset=-1), InputChannel(), InputChannel(offset=1))


class SeeingNetwork(FakeNetwork):
    """Keeps the inputs that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Array] = []

    def batch_scores(self, inputs: Array) -> Array:
        """Return scores of the class, after keeping the inputs."""
        self.seen.append(np.array(inputs))
        return super().batch_scores(inputs)


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def spec_of(meanings: tuple[InputChannel, ...]) -> InputSpec:
    return replace(BUNDLE.spec, channels=len(meanings), meanings=meanings)


def with_channels(loaded: LoadedModel, meanings: tuple[InputChannel, ...], network: FakeNetwork) -> LoadedModel:
    return replace(loaded, predictor=Predictor(replace(loaded.bundle, spec=spec_of(meanings)), network))


def test_a_network_gets_each_window_as_a_channel(worker_driver: WorkerDriver) -> None:
    """The worker prepares the image with the code of the training."""
    network = SeeingNetwork()
    windows = with_channels(model(worker_driver, None), WINDOWS, network)
    worker_driver.put(film=phantom(1))
    assert analysed(worker_driver, (windows, Role.ANSWER)) == {"film": ("done", "clear", None)}
    expected = prepare(next(read(phantom(1)).frames()), spec_of(WINDOWS))
    assert expected.shape[-1] == 4
    assert any(np.array_equal(each, expected) for inputs in network.seen for each in inputs)


def test_a_network_that_needs_neighbours_refuses_a_single_image(worker_driver: WorkerDriver) -> None:
    """With a sentence; the results of the other models are not touched."""
    plain = model(worker_driver, None)
    neighbours = with_channels(model(worker_driver, None, "neighbours"), NEIGHBOURS, FakeNetwork())
    worker_driver.put(film=phantom(1))
    assert analysed(worker_driver, (plain, Role.ANSWER), (neighbours, Role.FURTHER)) == {
        "film": ("done", "clear", None)
    }
    (row,) = queries.images(worker_driver.ledger_driver.database, ImageFilter(models=("neighbours",)))
    assert (row["state"], row["reason"]) == ("rejected", "out_of_domain")
    assert row["detail"] == "The model needs the neighbouring slices, and this is a single image."
