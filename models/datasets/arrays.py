"""Images that lie in memory as one array."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity
from models.datasets.dataset import Examples

_COLOURS = 3
_BYTE_VALUES = 256


@dataclass(frozen=True, kw_only=True)
class ArrayExamples(Examples):
    """One frame per image; `stored` holds them all, (images, rows, columns) or RGB (images, rows, columns, 3)."""

    stored: Array

    def inputs(self, frames: Sequence[int] | NDArray[np.int64], spec: InputSpec) -> NDArray[np.float32]:
        """The same numbers as frame by frame; bytes of native size are looked up in a table that `prepare` made."""
        if not self._looks_up(spec):
            return super().inputs(frames, spec)
        chosen = self.stored[np.asarray(frames, np.int64)]
        table = _table(spec)
        if spec.channels == 1:
            return table[:, 0].take(chosen)[..., None]
        return table.take(chosen, axis=0)

    def _looks_up(self, spec: InputSpec) -> bool:
        """Whether each input depends on one stored byte and on nothing else of its image."""
        gray_bytes = self.stored.dtype == np.uint8 and self.stored.ndim == _COLOURS
        same_size = self.stored.shape[1:] == (spec.height, spec.width)
        return gray_bytes and same_size and spec.intensity.kind != "percentile"


def array_examples(stored: Array, truth: NDArray[np.float32], *, name: str) -> ArrayExamples:
    """Examples called `name[0]`, `name[1]`, ...; patients are not known."""
    return ArrayExamples(
        truth=truth,
        image_of=np.arange(len(stored)),
        patients=None,
        names=[f"{name}[{index}]" for index in range(len(stored))],
        load=lambda index: array_frame(stored[index]),
        stored=stored,
    )


def array_frame(pixels: Array) -> Frame:
    """The frame that a DICOM file with these unsigned pixels gives: all bits stored, no rescale, no window."""
    return Frame(index=0, stored=pixels, bits_stored=8 * pixels.dtype.itemsize)


def array_spec(stored: Array) -> InputSpec:
    """The size they have, the full range of the stored bits as 0..1."""
    channels = _COLOURS if stored.ndim > _COLOURS else 1
    return InputSpec(height=stored.shape[1], width=stored.shape[2], channels=channels, intensity=Intensity(kind="full"))


def _table(spec: InputSpec) -> NDArray[np.float32]:
    """(256, channels): what each stored byte becomes."""
    every = np.arange(_BYTE_VALUES, dtype=np.uint8).reshape(16, 16)
    prepared = prepare(array_frame(every), replace(spec, height=16, width=16))
    return np.ascontiguousarray(prepared.reshape(_BYTE_VALUES, spec.channels), np.float32)
