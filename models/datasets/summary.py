"""Count the images, frames, patients and labels of a data set."""

from dataclasses import dataclass

import numpy as np

from models.datasets.dataset import Dataset, Examples

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class PartSummary:
    """Counts of images, frames, patients and labels in one part (training, validation or test)."""

    name: str
    """`train`, `validation` or `test`."""
    images: int
    frames: int
    patients: int | None
    """The number of patients; None if patients are not known."""
    images_with: dict[str, int]
    """The number of images per label, in the order of the labels of the data set."""


def summarise(dataset: Dataset) -> tuple[PartSummary, ...]:
    """Return the counts of the training, validation and test part, in this order. No pixels are decoded."""
    return tuple(_summarise(name, part_of(dataset, name), dataset.labels) for name in PARTS)


def part_of(dataset: Dataset, name: str) -> Examples:
    """Return the part named `train`, `validation` or `test`."""
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}[name]


def _summarise(name: str, part: Examples, labels: tuple[str, ...]) -> PartSummary:
    counts = part.truth.sum(axis=0, dtype=np.float64)
    return PartSummary(
        name=name,
        images=part.images,
        frames=len(part),
        patients=None if part.patients is None else len(np.unique(part.patients)),
        images_with=dict(zip(labels, map(int, counts), strict=True)),
    )
