"""Select one part of a data set and put its labels in the order of a network."""

from dataclasses import replace

import numpy as np

from models.bundle import Bundle
from models.datasets.dataset import Dataset, Examples
from models.postprocessing import SOFTMAX
from nightread.errors import UsageFault

PARTS = ("test", "validation", "train")


def part_of(dataset: Dataset, part: str) -> Examples:
    """Return one of `PARTS`. Raises UsageFault if the part has no images."""
    examples: Examples = getattr(dataset, part)
    if not examples.images:
        raise UsageFault(f"{dataset.reference} has no {part} part. Choose another one with --part.")
    return examples


def matched(bundle: Bundle, dataset: Dataset, examples: Examples) -> Examples:
    """Return the examples with their truth in the order of the bundle's labels.

    The normal label may be a label of the data without being an output of the network. Raises UsageFault for any other
    difference between the labels.
    """
    expected, found = set(bundle.labels), set(dataset.labels)
    if not expected <= found or not found - expected <= {bundle.postprocessing.normal_label}:
        raise UsageFault(
            f"The labels of {dataset.reference} are {', '.join(dataset.labels)}; "
            f"those of {bundle.reference} are {', '.join(bundle.labels)}. They must be the same."
        )
    if bundle.postprocessing.activation == SOFTMAX and not dataset.exclusive:
        raise UsageFault(
            f"{bundle.reference} assigns one label per image, and images of {dataset.reference} have several. "
            "Use a model with sigmoid outputs."
        )
    columns = [dataset.labels.index(label) for label in bundle.labels]
    return replace(examples, truth=np.ascontiguousarray(examples.truth[:, columns]))
