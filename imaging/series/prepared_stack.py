"""Prepare the slices of a stack in order. Each slice is decoded once, even if several inputs show it."""

from collections.abc import Callable

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.prepare import join_planes, prepare, prepare_planes
from imaging.spec import InputSpec


def neighbour(index: int, offset: int, count: int) -> int:
    """Return the index of the slice at this offset; at the ends of the stack the first or last slice is repeated."""
    return min(max(index + offset, 0), count - 1)


class PreparedStack:
    """Prepares inputs for one stack. It keeps in memory only the slices that the channels of one input show."""

    def __init__(self, load: Callable[[int], Frame | None], count: int, spec: InputSpec) -> None:
        """Create the object for a stack of `count` slices. `load` decodes one slice by its index in the stack, from 0.

        If `load` returns None for a neighbour, the slice that is being prepared takes the place of this neighbour.
        """
        self._load = load
        self._count = count
        self._spec = spec
        self._before, self._after = spec.reach
        self._planes: dict[int, Array] = {}

    def prepare(self, index: int, out: Array | None = None) -> Array:
        """Return the input for the slice `index`, float32 (height, width, channels), written into `out` if given.

        Each slice is loaded once if the indices ascend. Raises the errors of `load` and `imaging.prepare.prepare`, for
        the slice itself and for each neighbour that a channel shows.
        """
        if not self._spec.meanings:
            return prepare(self._loaded(index), self._spec, out)
        return join_planes(lambda offset: self._slice(neighbour(index, offset, self._count), index), self._spec, out)

    def _slice(self, index: int, middle: int) -> Array:
        """Return the slice `index` in each window, or the slice `middle` if `load` returns None.

        `middle` is the slice whose input is being prepared.
        """
        if index not in self._planes:
            frame = self._loaded(index) if index == middle else self._load(index)
            if frame is None:
                return self._slice(middle, middle)
            if len(self._planes) > self._after - self._before:
                within = range(middle + self._before, middle + self._after + 1)
                del self._planes[next(kept for kept in self._planes if kept not in within)]
            self._planes[index] = prepare_planes(frame, self._spec)
        return self._planes[index]

    def _loaded(self, index: int) -> Frame:
        frame = self._load(index)
        if frame is None:
            raise ValueError("only a neighbour can be left out")
        return frame
