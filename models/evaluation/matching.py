"""Data for a network: one part, the labels in the network's order."""

from dataclasses import replace

import numpy as np

from models.bundle import Bundle
from models.datasets.dataset import Dataset, Examples
from models.postprocessing import SOFTMAX
from nightread.errors import UsageFault

PARTS = ("test", "validation", "train")


def part_of(dataset: Dataset, part: str) -> Examples:
    """One of `PARTS`. Raises UsageFault where it has no images."""
    examples: Examples = getattr(dataset, part)
    if not examples.images:
        raise UsageFault(f"{dataset.reference} has no {part} part: name another with --part")
    return examples


def matched(bundle: Bundle, dataset: Dataset, examples: Examples) -> Examples:
    """Examples of the data set, their truth in the order of the bundle's labels.

    Normality may be a label of the data and no output of the network. Raises UsageFault for other labels.
    """
    expected, found = set(bundle.labels), set(dataset.labels)
    if not expected <= found or not found - expected <= {bundle.postprocessing.normal_label}:
        raise UsageFault(
            f"the labels of {dataset.reference} are {', '.join(dataset.labels)}; "
            f"those of {bundle.reference} are {', '.join(bundle.labels)}. They must be the same."
        )
    if bundle.postprocessing.activation == SOFTMAX and not dataset.exclusive:
        raise UsageFault(f"{bundle.reference} gives one label per image; images of {dataset.reference} have several")
    columns = [dataset.labels.index(label) for label in bundle.labels]
    return replace(examples, truth=np.ascontiguousarray(examples.truth[:, columns]))
