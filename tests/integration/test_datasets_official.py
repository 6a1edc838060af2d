"""Published data sets keep their parts, and inputs in training equal those in a worker."""

import io

import numpy as np
import pydicom
import pytest
import skip_reasons
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from skip_reasons import SHARED_DATA

from imaging.array import Array
from imaging.prepare import prepare
from imaging.read import read
from models.datasets import open_dataset
from models.datasets.dataset import Dataset, Examples
from models.datasets.summary import summarise

DATA = SHARED_DATA


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    if not (DATA / "mnist").is_dir():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    return open_dataset(f"mnist:{DATA / 'mnist'}")


@pytest.fixture(scope="module")
def pneumonia() -> Dataset:
    file = DATA / "medical" / "pneumoniamnist.npz"
    if not file.is_file():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    return open_dataset(f"npz:{file}")


def test_validation_of_mnist_is_split_off_from_training(mnist: Dataset) -> None:
    """55,000 + 5,000 images are the published training images; the test images are the published ones."""
    train, validation, test = summarise(mnist)
    assert [part.images for part in (train, validation, test)] == [55_000, 5_000, 10_000]
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert [train.images_with[label] + validation.images_with[label] for label in mnist.labels] == published
    assert min(validation.images_with.values()) > 400
    assert list(test.images_with.values()) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (mnist.split, mnist.exclusive, mnist.native_spec.shape) == ("official", True, (28, 28, 1))


def test_the_seed_selects_the_validation_images_of_mnist(mnist: Dataset) -> None:
    """The same seed gives the same images, another seed others."""
    rows = np.arange(5_000)
    first = mnist.validation.inputs(rows, mnist.native_spec)
    again, other = (open_dataset(mnist.reference, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(first, again.validation.inputs(rows, mnist.native_spec))
    assert (first != other.validation.inputs(rows, mnist.native_spec)).any()


def test_fast_preparation_of_mnist_equals_frame_by_frame(mnist: Dataset) -> None:
    """All 10,000 test images are equal bit for bit, in a shuffled order."""
    rows = np.random.default_rng(0).permutation(10_000)
    fast = mnist.test.inputs(rows, mnist.native_spec)
    np.testing.assert_array_equal(fast, Examples.inputs(mnist.test, rows, mnist.native_spec))
    assert (fast.min(), fast.max()) == (0.0, 1.0)


def test_an_array_and_its_dicom_file_give_the_same_input(mnist: Dataset) -> None:
    """They are equal bit for bit, so that a network trained on arrays can analyse DICOM files."""
    for row in range(20):
        stored = mnist.test.load(row).stored
        served = np.empty((1, *mnist.native_spec.shape), np.float32)
        (frame,) = read(as_dicom(stored)).frames()
        prepare(frame, mnist.native_spec, served[0])
        np.testing.assert_array_equal(served, mnist.test.inputs([row], mnist.native_spec))


def test_pneumonia_keeps_the_parts_of_medmnist(pneumonia: Dataset) -> None:
    """Sizes, classes and label names are the published ones."""
    assert [(part.images, part.images_with) for part in summarise(pneumonia)] == [
        (4708, {"normal": 1214, "pneumonia": 3494}),
        (524, {"normal": 135, "pneumonia": 389}),
        (624, {"normal": 234, "pneumonia": 390}),
    ]
    assert pneumonia.split == "official"
    assert pneumonia.train.patients is None


def as_dicom(stored: Array) -> bytes:
    """Return an uncompressed 8-bit MONOCHROME2 file without window."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DigitalXRayImageStorageForPresentation, "2.25.1"
    file = FileDataset(None, pydicom.Dataset(), preamble=b"\0" * 128, file_meta=meta)
    file.SOPClassUID, file.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "2.25.1"
    file.set_pixel_data(np.ascontiguousarray(stored), "MONOCHROME2", 8)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
