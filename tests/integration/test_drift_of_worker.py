"""What a worker stores for drift: device, photometric interpretation, spacing, and intensities of each input."""

from pathlib import Path

import numpy as np
import pytest
from dicom_files import cine, phantom
from ledger_driver import LedgerDriver
from worker_driver import BUNDLE, WorkerDriver

from imaging.prepare import prepare
from imaging.read import read
from models.drift_values import levels_of
from models.phantoms.phantom import FIELD_OF_VIEW_MM
from nightread.drift.levels import pack, unpack


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def test_results_have_the_intensities_of_their_input(worker_driver: WorkerDriver) -> None:
    """Of an image of several frames their mean; a duplicate has none."""
    worker_driver.put(a=phantom(1), b=cine(2, frames=5), c=phantom(3), d=phantom(1))
    worker_driver.analyse(worker_driver.context(largest=4))
    first, of_cine, third, duplicate = worker_driver.ledger_driver.work()
    for row, number in ((first, 1), (third, 3)):
        (frame,) = read(phantom(number)).frames()
        assert [row.intensities] == pack(levels_of(prepare(frame, BUNDLE.spec)[None], BUNDLE.spec))
    frames = np.stack([prepare(frame, BUNDLE.spec) for frame in read(cine(2, frames=5)).frames()])
    expected = levels_of(frames, BUNDLE.spec).mean(axis=0)
    assert unpack([of_cine.intensities])[0][0] == pytest.approx(expected, abs=0.51)
    assert duplicate.intensities is None


def test_arrivals_have_what_the_header_says_of_the_device(worker_driver: WorkerDriver) -> None:
    """Also duplicates, which have the facts of their originals."""
    worker_driver.put(a=phantom(1), b=phantom(1))
    worker_driver.analyse(worker_driver.context())
    for row in worker_driver.ledger_driver.instances():
        assert (row.device_model, row.photometric in ("MONOCHROME1", "MONOCHROME2")) == ("phantom", True)
        assert row.pixel_spacing == pytest.approx(FIELD_OF_VIEW_MM / row.rows, abs=1e-5)
