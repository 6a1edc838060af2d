"""An object of many slow frames in few bytes ends early, in the worker and in its trial process."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import modified_phantom, phantom
from ledger_driver import LedgerDriver
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless
from worker_driver import WorkerDriver

from db.ledger import Claimed
from imaging.limits import Limits
from models.catalogue import find_bundle
from nightread.clock import utc_now
from nightread.errors import ImageError
from nightread.reasons import Reason
from nightread.settings import load_settings
from worker.isolation.trial_read import TrialReader

FRAMES = 30
SECONDS = 0.6


def blank_frames(size: int) -> bytes:
    """Return an object of blank frames, each of a few hundred bytes, that take some seconds together."""
    stream = imagecodecs.jpeg2k_encode(np.zeros((size, size), np.uint8), level=0, reversible=True, codecformat="j2k")

    def change(dataset: FileDataset) -> None:
        dataset.Rows = dataset.Columns = size
        dataset.NumberOfFrames, dataset.PixelData = FRAMES, encapsulate([stream] * FRAMES)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless

    return modified_phantom(1, change)


@pytest.fixture(scope="module")
def slow_object() -> bytes:
    """Return about 500 MB of pixels in less than 20 kB."""
    content = blank_frames(4096)
    assert len(content) < 20_000
    return content


def test_slow_frames_in_few_bytes_end_early(
    ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int, slow_object: bytes
) -> None:
    """The object fails with the frame at which it ended, and its neighbour is done."""
    driver = WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)
    driver.put(slow=slow_object, after=phantom(1))
    assert driver.analyse(driver.context(image_timeout_seconds=SECONDS)) == {"done": 1, "failed": 1}
    slow, after = ledger_driver.work()
    assert (slow.state, slow.reason, after.state) == ("failed", "timeout", "done")
    assert slow.detail.startswith("Decoding ")
    assert "frame" in slow.detail


def test_the_trial_process_has_the_same_limit(tmp_path: Path, slow_object: bytes) -> None:
    """Otherwise an image that is marked `alone` would be decoded twice."""
    path = tmp_path / "scan.dcm"
    path.write_bytes(slow_object)
    deaths: list[int] = []
    reader = TrialReader(
        load_settings(None, image_timeout_seconds=SECONDS), Limits(), record_death=lambda: deaths.append(1)
    )
    status = path.stat()
    image = Claimed(
        work_id=1,
        instance_id=1,
        source="inbox",
        root=str(tmp_path),
        uri=path.name,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        marked=False,
        arrived_at=utc_now(),
        tried_since=utc_now(),
        alone=True,
        attempts=1,
    )
    try:
        with pytest.raises(ImageError, match="Decoding was stopped at frame") as caught:
            reader.read(image, (find_bundle("phantom", ()).spec,), lambda: None)
    finally:
        reader.close()
    assert (caught.value.reason, len(deaths)) == (Reason.TIMEOUT, 1)


def test_large_lawful_cines_are_done(
    ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int
) -> None:
    """Frames with content bring the bytes that their decoding needs."""

    def change(dataset: FileDataset) -> None:
        dataset.NumberOfFrames, dataset.PixelData = 1500, dataset.PixelData * 1500

    driver = WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)
    driver.put(ct=modified_phantom(1, change))
    assert pydicom.dcmread(io.BytesIO((driver.inbox / "ct").read_bytes())).NumberOfFrames == 1500
    assert driver.analyse(driver.context()) == {"done": 1}
