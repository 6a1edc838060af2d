"""Labelled examples, prepared by the code that also serves: DICOM bytes, imaging.read, imaging.prepare."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec
from models.phantom_dicom import MIXED, PhantomStyle, phantom_file


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Inputs of a network and their true labels, in the same order."""

    inputs: NDArray[np.float32]
    """(n, height, width, channels)."""
    labels: tuple[str, ...]

    def targets(self, labels: tuple[str, ...]) -> NDArray[np.int32]:
        """The index of each true label in `labels`. Raises ValueError for a label that is not there."""
        return np.array([labels.index(label) for label in self.labels], np.int32)


def phantoms(spec: InputSpec, *, seed: int, indices: Iterable[int], style: PhantomStyle = MIXED) -> Examples:
    """Films `indices` of the series `seed`, each written as DICOM in memory and read back."""
    numbers = list(indices)
    inputs = np.empty((len(numbers), *spec.shape), np.float32)
    labels = []
    for row, index in enumerate(numbers):
        content, truth = phantom_file(seed=seed, index=index, style=style)
        for frame in read(content).frames():
            prepare(frame, spec, out=inputs[row])
        labels.append(truth.label)
    return Examples(inputs=inputs, labels=tuple(labels))
