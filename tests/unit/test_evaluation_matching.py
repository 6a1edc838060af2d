"""The labels of a data set in the order of a bundle."""

from typing import Any

import numpy as np
import pytest
from scored_images import make_postprocessing

from imaging.spec import InputSpec, Intensity
from models.bundle import Bundle
from models.datasets.dataset import Dataset, Examples
from models.evaluation.matching import matched, part_of
from models.postprocessing import Postprocessing
from nightread.errors import UsageFault

SPEC = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="full"))


def _bundle(postprocessing: Postprocessing) -> Bundle:
    return Bundle(name="toy", version="1", postprocessing=postprocessing, spec=SPEC, intended_use="tests")


def _examples(truth: Any) -> Examples:
    numbers = np.arange(len(truth))
    return Examples(
        truth=np.asarray(truth, np.float32),
        image_of=numbers,
        patients=None,
        names=[str(number) for number in numbers],
        load=lambda number: pytest.fail(f"frame {number} was read"),
    )


def _dataset(labels: tuple[str, ...], truth: Any, *, exclusive: bool = True) -> Dataset:
    parts = {"train": _examples(truth), "validation": _examples(truth), "test": _examples(truth)}
    return Dataset(reference="npz:x", labels=labels, exclusive=exclusive, split="image", native_spec=SPEC, **parts)


def test_labels_come_into_the_order_of_the_bundle() -> None:
    """The data list the nodule first and the network lists it last."""
    dataset = _dataset(("nodule", "clear"), [(1, 0), (0, 1)])
    assert matched(_bundle(make_postprocessing()), dataset, dataset.test).truth.tolist() == [[0, 1], [1, 0]]


def test_the_normal_label_may_be_a_label_of_the_data_alone() -> None:
    """A sigmoid network needs no output for the normal label: such an image has none of the findings."""
    postprocessing = make_postprocessing(("nodule",), normal_label="clear", activation="sigmoid")
    dataset = _dataset(("clear", "nodule"), [(1, 0), (0, 1)])
    assert matched(_bundle(postprocessing), dataset, dataset.test).truth.tolist() == [[0], [1]]


@pytest.mark.parametrize("labels", [("clear", "mass"), ("clear", "nodule", "mass"), ("clear",)])
def test_other_labels_are_refused_by_name(labels: tuple[str, ...]) -> None:
    """The message contains both lists of labels."""
    dataset = _dataset(labels, np.eye(len(labels)))
    with pytest.raises(UsageFault, match=rf"are {', '.join(labels)};.*are clear, nodule\."):
        matched(_bundle(make_postprocessing()), dataset, dataset.test)


def test_several_labels_per_image_need_a_sigmoid_network() -> None:
    """A softmax network assigns one label per image, so it cannot be correct."""
    dataset = _dataset(("clear", "nodule"), [(1, 1)], exclusive=False)
    with pytest.raises(UsageFault, match="one label per image"):
        matched(_bundle(make_postprocessing()), dataset, dataset.test)


def test_a_part_without_images_is_refused() -> None:
    """The message names the missing part."""
    with pytest.raises(UsageFault, match="no validation part"):
        part_of(_dataset(("a", "b"), np.empty((0, 2))), "validation")
