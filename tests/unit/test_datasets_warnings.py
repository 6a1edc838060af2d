"""Data that make figures misleading are named: shared images, unbalanced and missing labels."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.datasets import open_dataset
from models.datasets.arrays import array_examples, array_spec
from models.datasets.dataset import Dataset
from models.datasets.leakage import CONTENT, PATIENT, Leak, array_keys, leaks_between
from models.datasets.warnings import data_warnings, leak_warnings

EVEN = (50, 50)


def dataset(
    counts: Sequence[int] = EVEN,
    *,
    validation: Sequence[int] = EVEN,
    test: Sequence[int] = EVEN,
    exclusive: bool = True,
) -> Dataset:
    """Return a data set with these numbers of images per label."""
    parts = [np.repeat(np.eye(len(of), dtype=np.float32), of, axis=0) for of in (counts, validation, test)]
    examples = [array_examples(np.zeros((len(truth), 2, 2), np.uint8), truth, name="x") for truth in parts]
    return Dataset(
        reference="npz:x.npz",
        labels=("clear", "nodule", "mass")[: len(counts)],
        exclusive=exclusive,
        split="official",
        train=examples[0],
        validation=examples[1],
        test=examples[2],
        native_spec=array_spec(np.zeros((1, 2, 2), np.uint8)),
    )


def test_balanced_data_have_no_warnings() -> None:
    """Ten times as many images of one label are still no warning."""
    assert data_warnings(dataset()) == ()
    assert data_warnings(dataset((500, 50))) == ()


def test_unbalanced_labels_are_a_warning_with_a_remedy() -> None:
    """It names the most and the least frequent label."""
    (warning,) = data_warnings(dataset((501, 50)))
    assert warning.startswith("Unbalanced labels: the training part has 501 images with clear and 50 with nodule.")
    assert "--class-weights" in warning


def test_rare_findings_are_a_warning() -> None:
    """Labels that do not exclude each other have no --class-weights."""
    (warning,) = data_warnings(dataset((5_000, 5_000, 12), validation=(1, 1, 1), test=(1, 1, 1), exclusive=False))
    assert warning.startswith("Rare labels, each on fewer than 5% of the 10,012 training images: mass (12).")
    assert "--class-weights" not in warning


def test_labels_that_a_part_lacks_are_a_warning() -> None:
    """Without images of the label, its threshold and its figures are undefined."""
    assert data_warnings(dataset(validation=(9, 0), test=(0, 9))) == (
        "No image of the validation part has the label nodule: its threshold cannot be chosen.",
        "No image of the test part has the label clear: it is not measured.",
    )


def test_shared_keys_are_counted_in_the_later_part() -> None:
    """Unknown keys match nothing; each pair of parts is compared."""
    assert leaks_between(PATIENT, [["a", "b", None], ["b", "b", None], ["a", "c"]]) == (
        Leak(what=PATIENT, part="validation", seen_in="training", images=2),
        Leak(what=PATIENT, part="test", seen_in="training", images=1),
    )


def test_leakage_is_a_sentence_with_a_remedy() -> None:
    """One image and many images both read as English."""
    leaks = (
        Leak(what=CONTENT, part="test", seen_in="training", images=1),
        Leak(what=PATIENT, part="validation", seen_in="training", images=1200),
    )
    first, second = leak_warnings(dataclasses.replace(dataset(), leaks=leaks))
    assert first.startswith("Leakage: 1 image of the test part has the same bytes as an image of the training part,")
    assert second.startswith("Leakage: 1,200 images of the validation part are of patients (by their headers) who")
    assert first.endswith("Remove the copies.")
    assert second.endswith("Keep each patient in one part.")


def test_keys_of_arrays_are_equal_for_equal_pixels() -> None:
    """A view in another memory order has the same key."""
    images = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    turned = np.asfortranarray(images)
    assert array_keys(images) == array_keys(turned)
    assert len(set(array_keys(images))) == 3


def test_equal_images_in_a_published_split_are_found(tmp_path: Path) -> None:
    """The parts of an npz file are kept, so its copies stay and are reported."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 4, 4), np.uint8)
    labels = np.arange(10) % 2
    parts = {"train": images[:10], "val": images[10:20], "test": np.concatenate((images[20:28], images[:2]))}
    arrays = {f"{name}_images": pixels for name, pixels in parts.items()}
    np.savez(tmp_path / "copies.npz", **arrays, **{f"{name}_labels": labels for name in parts})
    assert open_dataset(f"npz:{tmp_path}/copies.npz").leaks == (
        Leak(what=CONTENT, part="test", seen_in="training", images=2),
    )


@pytest.mark.parametrize("copies", [0, 1])
def test_equal_files_in_folders_of_parts_are_found(tmp_path: Path, copies: int) -> None:
    """Folders train, val and test are kept as they are."""
    rng = np.random.default_rng(1)
    for part in ("train", "val", "test"):
        for label in ("cat", "dog"):
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 256, (8, 8), np.uint8)
                assert cv2.imwrite(str(tmp_path / part / label / f"{number}.png"), pixels)
    for _ in range(copies):
        (tmp_path / "test" / "dog" / "copy.png").write_bytes((tmp_path / "train" / "dog" / "0.png").read_bytes())
    found = open_dataset(f"images:{tmp_path}").leaks
    assert [(leak.what, leak.part, leak.seen_in, leak.images) for leak in found] == [
        (CONTENT, "test", "training", 1)
    ] * copies
