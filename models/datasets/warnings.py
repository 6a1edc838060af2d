"""Warn of data that make the figures of a network misleading: shared images or patients, rare labels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.datasets.dataset import Dataset, Examples

_LARGEST_RATIO = 10
"""Labels that exclude each other are unbalanced if the most frequent has over ten times the images of the rarest."""
_RARE_SHARE = 0.05
"""Labels that do not exclude each other count as rare below this share of the training images."""
_MOST_NAMES = 5


def data_warnings(dataset: Dataset) -> tuple[str, ...]:
    """Return one sentence per problem, for people; empty if there is none."""
    return (*leak_warnings(dataset), *_imbalance(dataset), *_missing_labels(dataset))


def leak_warnings(dataset: Dataset) -> tuple[str, ...]:
    """Return one sentence for each pair of parts that share images or patients."""
    return tuple(str(leak) for leak in dataset.leaks)


def _imbalance(dataset: Dataset) -> Iterator[str]:
    counts = _counts(dataset.train)
    if dataset.exclusive:
        yield from _unequal(dataset, counts)
    else:
        yield from _rare(dataset, counts)


def _unequal(dataset: Dataset, counts: NDArray[np.int64]) -> Iterator[str]:
    least, most = int(counts.argmin()), int(counts.argmax())
    if 0 < counts[least] * _LARGEST_RATIO < counts[most]:
        yield (
            f"Unbalanced labels: the training part has {counts[most]:,} images with {dataset.labels[most]} and "
            f"{counts[least]:,} with {dataset.labels[least]}. The network may ignore rare labels: --class-weights "
            "gives each label the same weight. Judge the network by recall and ROC-AUC, not by accuracy."
        )


def _rare(dataset: Dataset, counts: NDArray[np.int64]) -> Iterator[str]:
    images = max(dataset.train.images, 1)
    rare = [column for column in np.argsort(counts, kind="stable").tolist() if counts[column] < _RARE_SHARE * images]
    if rare:
        named = ", ".join(f"{dataset.labels[column]} ({counts[column]:,})" for column in rare[:_MOST_NAMES])
        more = f" and {len(rare) - _MOST_NAMES} more" if len(rare) > _MOST_NAMES else ""
        yield (
            f"Rare labels, each on fewer than {_RARE_SHARE:.0%} of the {images:,} training images: {named}{more}. "
            "The network may never find these labels. Add images with them, and judge the network by recall and "
            "ROC-AUC, not by accuracy."
        )


def _missing_labels(dataset: Dataset) -> Iterator[str]:
    consequences = {
        "validation": (dataset.validation, "its threshold cannot be chosen"),
        "test": (dataset.test, "it is not measured"),
    }
    for name, (part, consequence) in consequences.items():
        for column in np.flatnonzero(_counts(part) == 0).tolist() if part.images else ():
            yield f"No image of the {name} part has the label {dataset.labels[column]}: {consequence}."


def _counts(part: Examples) -> NDArray[np.int64]:
    """Return the number of images with each label, (labels,)."""
    return np.asarray(np.count_nonzero(part.truth, axis=0), np.int64)
