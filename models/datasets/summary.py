"""How large a data set is and how its labels are spread, as plain values."""

from dataclasses import dataclass

import numpy as np

from models.datasets.dataset import Dataset, Examples

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class PartSummary:
    """One part, counted."""

    name: str
    """`train`, `validation` or `test`."""
    images: int
    frames: int
    patients: int | None
    """None where patients are not known."""
    images_with: dict[str, int]
    """Label -> images that have it, in the order of the data set's labels."""


def summarise(dataset: Dataset) -> tuple[PartSummary, ...]:
    """Training, validation and test part, in this order; no pixel is decoded."""
    return tuple(_summarise(name, part_of(dataset, name), dataset.labels) for name in PARTS)


def part_of(dataset: Dataset, name: str) -> Examples:
    """The part called `train`, `validation` or `test`."""
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
