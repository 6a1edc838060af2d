"""Use stacks of slices as examples: an image is a stack, and its frames are the slices in their order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import Frame
from imaging.series.prepared_stack import PreparedStack
from imaging.spec import InputSpec
from models.datasets.dataset import Examples


@dataclass(frozen=True, kw_only=True)
class SeriesExamples(Examples):
    """Stacks of slices. `load` takes the number of a slice, counted over all stacks."""

    def inputs(self, frames: Sequence[int] | NDArray[np.int64], spec: InputSpec) -> NDArray[np.float32]:
        """Return inputs (n, height, width, channels) of these slices, with the neighbours that the spec asks for.

        In one call, a slice is decoded only once. Raises what `load` and `imaging.prepare.prepare` raise.
        """
        numbers = np.asarray(frames, np.int64)
        prepared = np.empty((len(numbers), *spec.shape), np.float32)
        order = np.argsort(numbers, kind="stable")
        stacks = self.image_of[numbers[order]]
        bounds = [0, *(np.flatnonzero(np.diff(stacks)) + 1), len(order)]
        for start, end in pairwise(bounds if len(order) else [0]):
            rows = order[start:end]
            first, count = self._extent(int(self.image_of[numbers[rows[0]]]))
            stack = PreparedStack(_shifted(self.load, first), count, spec)
            for row in rows:
                stack.prepare(int(numbers[row]) - first, prepared[row])
        return prepared

    def _extent(self, stack: int) -> tuple[int, int]:
        """Return the number of the first slice of a stack, and the number of its slices."""
        first, end = (int(np.searchsorted(self.image_of, stack, side)) for side in ("left", "right"))
        return first, end - first


def _shifted(load: Callable[[int], Frame], first: int) -> Callable[[int], Frame]:
    return lambda index: load(first + index)
