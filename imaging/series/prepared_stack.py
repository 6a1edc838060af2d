"""Prepare the slices of a stack in order, each decoded once although several inputs show it."""

from collections import OrderedDict
from collections.abc import Callable

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.prepare import join_planes, prepare, prepare_planes
from imaging.spec import InputSpec


def neighbour(index: int, offset: int, count: int) -> int:
    """Return the index of the slice at this offset; at the ends of the stack the first or last slice is repeated."""
    return min(max(index + offset, 0), count - 1)


class PreparedStack:
    """Prepares inputs for one stack. It keeps as many slices in memory as the channels reach, and one more."""

    def __init__(self, load: Callable[[int], Frame], count: int, spec: InputSpec) -> None:
        """`load` decodes the slice with this index, from 0 to `count` - 1, in the order of the stack."""
        self._load = load
        self._count = count
        self._spec = spec
        before, after = spec.reach
        self._most = after - before + 1
        self._planes: OrderedDict[int, Array] = OrderedDict()

    def prepare(self, index: int, out: Array | None = None) -> Array:
        """Return the input for the slice `index`, float32 (height, width, channels), written into `out` if given.

        Each slice is loaded once if the indices ascend. Raises what `load` and `imaging.prepare.prepare` raise, for the
        slice itself and for each neighbour that a channel shows.
        """
        if not self._spec.meanings:
            return prepare(self._load(index), self._spec, out)
        return join_planes(lambda offset: self._slice(neighbour(index, offset, self._count)), self._spec, out)

    def forget(self, index: int) -> None:
        """Drop the slice `index`, so that it is loaded again: another one took its place for one input only."""
        self._planes.pop(index, None)

    def _slice(self, index: int) -> Array:
        planes = self._planes.pop(index, None)
        if planes is None:
            planes = prepare_planes(self._load(index), self._spec)
        self._planes[index] = planes  # the last used one is at the end
        while len(self._planes) > self._most:
            self._planes.popitem(last=False)
        return planes
