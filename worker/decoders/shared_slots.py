"""Hold prepared frames in memory that the decoder processes share with their worker process."""

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Inputs = NDArray[np.float32]
Shape = tuple[int, ...]

_CELL_BYTES = 8
_FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotLayout:
    """The layout of the shared memory: one cell of 8 bytes per decoder, then the slots, each at the start of a page."""

    decoders: int
    slots: int
    slot_bytes: int
    """Bytes of one slot, which holds the prepared frames of one image."""

    @property
    def total_bytes(self) -> int:
        """Return the size of the memory in bytes. The system provides each page only when it is first written."""
        return self.offset(self.slots)

    def offset(self, slot: int) -> int:
        """Return where a slot begins."""
        return _whole_pages(self.decoders * _CELL_BYTES) + slot * _whole_pages(self.slot_bytes)


class SharedSlots:
    """Memory without a name: it needs no clean-up, because the kernel frees it when the last process has ended.

    There is no lock, because the holder of a lock could die. A slot has one writer at a time: the decoder to which the
    worker process gave it. Each decoder also has a cell with the number of the request that it works on. Only this
    decoder writes its cell. After its death, the process that replaces it with a new decoder sets the cell to 0.
    """

    def __init__(self, descriptor: int, layout: SlotLayout) -> None:
        """Map the memory behind a descriptor that `create_memory` returned."""
        self.layout = layout
        self._map = mmap.mmap(descriptor, layout.total_bytes)
        self._cells = memoryview(self._map)[: layout.decoders * _CELL_BYTES].cast("q")

    def in_flight(self, decoder: int) -> int:
        """Return the number of the request that a decoder works on, or worked on when it died; 0 means none."""
        return self._cells[decoder]

    def mark_in_flight(self, decoder: int, number: int) -> None:
        """Write the number of the request that a decoder begins; 0 means none."""
        self._cells[decoder] = number

    def write(self, slot: int, arrays: Sequence[Inputs]) -> None:
        """Write arrays one after the other. Raises ValueError if they are larger than the slot."""
        if sum(array.nbytes for array in arrays) > self.layout.slot_bytes:
            raise ValueError("the arrays are larger than a slot")
        position = self.layout.offset(slot)
        for array in arrays:
            self._array(position, array.shape)[...] = array
            position += array.nbytes

    def read(self, slot: int, shapes: Sequence[Shape]) -> tuple[Inputs, ...]:
        """Return copies of the arrays in a slot, float32 with these shapes, so that the slot can be used again."""
        arrays, position = [], self.layout.offset(slot)
        for shape in shapes:
            arrays.append(self._array(position, shape).copy())
            position += arrays[-1].nbytes
        return tuple(arrays)

    def _array(self, position: int, shape: Shape) -> Inputs:
        return np.ndarray(shape, np.float32, self._map, position)


def create_memory(layout: SlotLayout) -> int:
    """Return a descriptor of new memory. Programs that this process starts do not inherit it unless they are told to.

    Raises OSError if the system has no such memory: only Linux has it.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("this system has no memfd_create")
    descriptor = os.memfd_create("nightread-frames", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, layout.total_bytes)
    return descriptor


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
