"""Arrays are opened as data sets, and fast preparation gives the same values as slow preparation."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.spec import InputSpec, Intensity
from models.datasets import open_dataset
from models.datasets.arrays import array_examples
from models.datasets.dataset import Examples
from nightread.errors import UsageFault

FULL = Intensity(kind="full")
SPECS = {
    "native": InputSpec(height=12, width=9, channels=1, intensity=FULL),
    "three channels": InputSpec(
        height=12, width=9, channels=3, intensity=FULL, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), scale_low=-1.0
    ),
    "window": InputSpec(height=12, width=9, channels=1, intensity=Intensity(kind="window", low=30, high=177.5)),
    "voi": InputSpec(height=12, width=9, channels=1, intensity=Intensity(kind="voi"), aspect="pad"),
    "percentile": InputSpec(height=12, width=9, channels=1, intensity=Intensity(kind="percentile", low=1, high=99)),
    "larger": InputSpec(height=20, width=20, channels=1, intensity=FULL, aspect="pad"),
}
STORED = {
    "bytes": lambda rng: rng.integers(0, 256, (7, 12, 9), np.uint8),
    "words": lambda rng: rng.integers(0, 65536, (7, 12, 9), np.uint16),
    "colour": lambda rng: rng.integers(0, 256, (7, 12, 9, 3), np.uint8),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("kind", STORED)
def test_inputs_equal_those_prepared_frame_by_frame(kind: str, spec: InputSpec) -> None:
    """They are equal bit for bit, in any order and with repetitions."""
    stored = STORED[kind](np.random.default_rng(0))
    part = array_examples(stored, np.zeros((7, 2), np.float32), name="train")
    rows = np.array([3, 0, 6, 3])
    np.testing.assert_array_equal(part.inputs(rows, spec), Examples.inputs(part, rows, spec))
    assert part.inputs(rows, spec).dtype == np.float32


def arrays(**changes: Any) -> dict[str, Any]:
    """Return the arrays of a valid MedMNIST file: 20, 6 and 6 images of two classes."""
    rng = np.random.default_rng(0)
    sizes = {"train": 20, "val": 6, "test": 6}
    images = {f"{part}_images": rng.integers(0, 256, (count, 8, 8), np.uint8) for part, count in sizes.items()}
    labels = {f"{part}_labels": np.arange(count)[:, None] % 2 for part, count in sizes.items()}
    changed = images | labels | changes
    return {name: value for name, value in changed.items() if value is not None}


def test_class_numbers_become_one_label_each(tmp_path: Path) -> None:
    """The labels are named by the array `labels` of the file."""
    np.savez(tmp_path / "x.npz", **arrays(labels=np.array(["good", "bad"])))
    data = open_dataset(f"npz:{tmp_path}/x.npz")
    assert (data.labels, data.exclusive, data.split) == (("good", "bad"), True, "official")
    assert data.train.truth[:2].tolist() == [[1, 0], [0, 1]]
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 6, 6)


def test_columns_become_any_number_of_labels(tmp_path: Path) -> None:
    """Three columns of 0 and 1 are three labels, named by their numbers."""
    flags = {f"{part}_labels": np.ones((count, 3), int) for part, count in (("train", 20), ("val", 6), ("test", 6))}
    np.savez(tmp_path / "x.npz", **arrays(**flags))
    data = open_dataset(f"npz:{tmp_path}/x.npz")
    assert (data.labels, data.exclusive) == (("0", "1", "2"), False)


def test_a_missing_validation_part_is_split_off_from_training(tmp_path: Path) -> None:
    """The test part does not change."""
    np.savez(tmp_path / "x.npz", **arrays(val_images=None, val_labels=None))
    data = open_dataset(f"npz:{tmp_path}/x.npz")
    assert (len(data.train), len(data.validation), len(data.test)) == (17, 3, 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_images": None}, "no test_images and test_labels"),
        ({"train_images": np.zeros((20, 8, 8, 8), np.uint8)}, r"shape \(20, 8, 8, 8\)"),
        ({"train_images": np.zeros((20, 8, 8), np.float32)}, "train_images is float32. Save the pixels as uint8"),
        ({"train_labels": np.zeros((19, 1), int)}, "there are 20 train images and 19 labels"),
        ({"train_labels": np.zeros((20, 1), int)}, "all training images have the same class"),
        ({"train_labels": np.full((20, 2), 2)}, "neither class numbers nor columns of 0 and 1"),
        ({"train_labels": np.ones((20, 1), np.float32)}, "neither class numbers nor columns of 0 and 1"),
        ({"train_labels": np.ones((20, 2), int)}, "differ in number"),
        ({"test_images": np.zeros((6, 9, 9), np.uint8)}, "differ in size"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """The message names the problem and the remedy."""
    np.savez(tmp_path / "x.npz", **arrays(**changes))
    with pytest.raises(UsageFault, match=message):
        open_dataset(f"npz:{tmp_path}/x.npz")


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    """A foreign .npz file must not run code."""
    np.savez(tmp_path / "x.npz", **arrays(labels=np.array([{"a": 1}], dtype=object)))
    with pytest.raises(UsageFault, match=r"this is not an \.npz file of plain arrays"):
        open_dataset(f"npz:{tmp_path}/x.npz")


def idx(values: np.ndarray[Any, Any]) -> bytes:
    """Return the content of an IDX file: magic number, sizes, bytes."""
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """Return a folder with 24 and 5 digits of 28 x 28; two of the four files are compressed."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 24), ("t10k", 5)):
        pixels = rng.integers(0, 256, (count, 28, 28), np.uint8)
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8) % 10))
    return tmp_path


def test_idx_files_are_read_compressed_or_not(idx_folder: Path) -> None:
    """A twelfth of the training images becomes the validation part."""
    data = open_dataset(f"mnist:{idx_folder}")
    assert (len(data.train), len(data.validation), len(data.test)) == (22, 2, 5)
    assert data.test.truth.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


def test_the_npz_file_of_keras_gives_the_same(idx_folder: Path, tmp_path: Path) -> None:
    """The reference may name the file or its folder."""
    data = open_dataset(f"mnist:{idx_folder}")
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (count, 28, 28), np.uint8) for count in (24, 5))
    folder = tmp_path / "keras"
    folder.mkdir()
    np.savez(folder / "mnist.npz", x_train=train, y_train=np.arange(24) % 10, x_test=test, y_test=np.arange(5))
    for place in (folder, folder / "mnist.npz"):
        other = open_dataset(f"mnist:{place}")
        for part, other_part in (
            (data.train, other.train),
            (data.validation, other.validation),
            (data.test, other.test),
        ):
            rows = np.arange(len(part))
            np.testing.assert_array_equal(
                part.inputs(rows, data.native_spec), other_part.inputs(rows, other.native_spec)
            )
            np.testing.assert_array_equal(part.truth, other_part.truth)


def test_a_truncated_idx_file_is_refused(idx_folder: Path) -> None:
    """The header declares the sizes, so that missing bytes are detected."""
    file = idx_folder / "t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UsageFault, match=r"t10k-labels-idx1-ubyte is not a complete IDX file\. Download it again"):
        open_dataset(f"mnist:{idx_folder}")
    file.unlink()
    with pytest.raises(UsageFault, match=r"has no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte\.gz"):
        open_dataset(f"mnist:{idx_folder}")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mnist", "is not of the form KIND:PATH. Use one of mnist:FOLDER"),
        ("tiff:/data", "is not of the form KIND:PATH"),
        ("npz:", "no such file or folder"),
        ("images:/no/such/folder", "no such file or folder"),
        (f"dicom:{__file__}", "this is a file. Name the folder"),
        (f"npz:{__file__}", "this is not an .npz file of plain arrays"),
        (f"npz:{Path(__file__).parent}", "this is a folder. Name the .npz file in it"),
        ("phantom:many", "not a number of phantoms"),
        ("phantom:3", "N of at least 20"),
    ],
)
def test_an_invalid_reference_is_refused(reference: str, message: str) -> None:
    """The message names the reference and the remedy."""
    with pytest.raises(UsageFault, match=message) as raised:
        open_dataset(reference)
    assert reference in str(raised.value)


def test_a_label_file_is_accepted_only_for_folders_of_files(tmp_path: Path) -> None:
    """Other data sets contain their own labels."""
    with pytest.raises(UsageFault, match=r"contains its own labels\. Omit --labels"):
        open_dataset("phantom:20", labels_file=tmp_path / "labels.csv")


def test_names_of_labels_are_used_if_their_number_fits(tmp_path: Path) -> None:
    """Three names do not fit two columns of 0 and 1, so that the labels are numbered."""
    flags = {f"{part}_labels": np.ones((count, 2), int) for part, count in (("train", 20), ("val", 6), ("test", 6))}
    for names, labels in ((["a", "b"], ("a", "b")), (["a", "b", "c"], ("0", "1"))):
        np.savez(tmp_path / "x.npz", **arrays(**flags, labels=np.array(names)))
        data = open_dataset(f"npz:{tmp_path}/x.npz")
        assert (data.labels, data.train.truth.shape) == (labels, (20, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.ones((24, 28, 28), np.float32)}, "x_train is float32"),
        ({"x_test": np.ones((5, 28, 28, 1), np.uint8)}, r"x_test is uint8 with the shape \(5, 28, 28, 1\)"),
        ({"y_train": np.eye(24, 10, dtype=np.uint8)}, "y_train is uint8 with the shape"),
        ({"y_test": np.full(5, -1)}, "y_test is int64"),
        ({"x_train": np.full((24, 28, 28), 256)}, "x_train is int64"),
    ],
)
def test_digits_in_another_form_than_that_of_keras_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """Pixels that are scaled to 0..1 would all become black."""
    valid: dict[str, Any] = {"x_train": np.ones((24, 28, 28), np.uint8), "y_train": np.arange(24) % 10}
    valid |= {"x_test": np.ones((5, 28, 28), np.uint8), "y_test": np.arange(5)}
    np.savez(tmp_path / "mnist.npz", **valid | changes)
    with pytest.raises(UsageFault, match=message):
        open_dataset(f"mnist:{tmp_path}")
