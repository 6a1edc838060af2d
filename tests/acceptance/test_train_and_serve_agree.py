"""Training and serving prepare images in the same way: the MNIST test images give the same scores in both."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import skip_reasons
from nightread_process import database_of, images, run
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from skip_reasons import SHARED_DATA

from db import queries
from models.catalogue import find_bundle
from models.datasets import open_dataset
from models.networks.scoring import score
from models.runtimes.keras_network import load_keras_network
from nightread.runtime_names import KERAS, RUNTIMES

MNIST = SHARED_DATA / "mnist"
SECONDS = 240


def write_scan(path: Path, number: int, pixels: NDArray[np.uint8]) -> None:
    """Write one digit as a secondary capture with 8 bits and a black background."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = "1.2.3", "1.2.3", "OT"
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.PixelRepresentation = "MONOCHROME2", 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.tobytes()
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


@pytest.mark.skipif(not MNIST.is_dir(), reason=skip_reasons.NO_SHARED_DATA)
@pytest.mark.timeout(SECONDS)
@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_ten_thousand_digits_get_the_scores_of_the_arrays(tmp_path: Path, runtime: str) -> None:
    """Every label is that of Keras on arrays, every score within 1e-4, and the counts add up, with both runtimes."""
    bundle = find_bundle("mnist-cnn", ())
    test = open_dataset(f"mnist:{MNIST}").test
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(test.images):
        write_scan(inbox / f"{number:05}.dcm", number, test.load(number).stored)
    network = load_keras_network(bundle)
    expected = [
        result for result in bundle.postprocessing.image_results(score(network, test).scores) if result is not None
    ]

    done = run("run", inbox, "--model", "mnist-cnn", "--state", tmp_path / "state", seconds=SECONDS, RUNTIME=runtime)

    assert done.returncode == 0, done.stderr
    served = sorted(images(tmp_path / "state"), key=lambda image: str(image["uri"]))
    assert [image["state"] for image in served] == ["done"] * 10_000
    assert [image["label"] for image in served] == [result.label for result in expected]
    scores = np.array([list(image["scores"].values()) for image in served])
    np.testing.assert_allclose(scores, [result.scores for result in expected], atol=1e-4)
    library = "keras" if runtime == KERAS else "onnxruntime"
    with database_of(tmp_path / "state") as database:
        records = queries.batch_records(database, limit=1000)
        # On a busy machine a batch may be taken back before a worker has begun with it: it has no outcomes.
        assert {(record.runtime or "none").split()[0] for record in records if record.outcomes.get("done")} == {library}
