"""Use an array in memory as examples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity
from models.datasets.dataset import Examples

_COLOURS = 3
_BYTE_VALUES = 256


@dataclass(frozen=True, kw_only=True)
class ArrayExamples(Examples):
    """Images of one frame each; `stored` is (images, rows, columns) or RGB (images, rows, columns, 3)."""

    stored: Array

    def inputs(self, frames: Sequence[int] | NDArray[np.int64], spec: InputSpec) -> NDArray[np.float32]:
        """Prepare the frames; uint8 frames of the network's size are prepared with a lookup table, which is faster."""
        if not self._can_look_up(spec):
            return super().inputs(frames, spec)
        chosen = self.stored[np.asarray(frames, np.int64)]
        table = _lookup_table(spec)
        if spec.channels == 1:
            return table[:, 0].take(chosen)[..., None]
        return table.take(chosen, axis=0)

    def _can_look_up(self, spec: InputSpec) -> bool:
        """Return whether each input value depends only on one stored byte."""
        gray_bytes = self.stored.dtype == np.uint8 and self.stored.ndim == _COLOURS
        same_size = self.stored.shape[1:] == (spec.height, spec.width)
        return gray_bytes and same_size and spec.intensity.kind != "percentile"


def array_examples(stored: Array, truth: NDArray[np.float32], *, name: str) -> ArrayExamples:
    """Return examples with the names `name[0]`, `name[1]`, ... and without patients."""
    return ArrayExamples(
        truth=truth,
        image_of=np.arange(len(stored)),
        patients=None,
        names=[f"{name}[{index}]" for index in range(len(stored))],
        load=lambda index: array_frame(stored[index]),
        stored=stored,
    )


def array_frame(pixels: Array) -> Frame:
    """Return a frame of these unsigned pixels. All bits are used, and there is neither a rescale nor a window."""
    return Frame(index=0, stored=pixels, bits_stored=8 * pixels.dtype.itemsize)


def array_spec(stored: Array) -> InputSpec:
    """Return an input spec with the size of the images, which maps the full range of the stored bits to 0..1."""
    channels = _COLOURS if stored.ndim > _COLOURS else 1
    return InputSpec(height=stored.shape[1], width=stored.shape[2], channels=channels, intensity=Intensity(kind="full"))


def array_kind(stored: Array) -> ImageKind:
    """Return the kind of these images: not DICOM, and grey or in colour."""
    return ImageKind(is_dicom=False, samples=COLOUR if stored.ndim > _COLOURS else GREY)


def _lookup_table(spec: InputSpec) -> NDArray[np.float32]:
    """Return the prepared value of each byte value, (256, channels)."""
    every = np.arange(_BYTE_VALUES, dtype=np.uint8).reshape(16, 16)
    prepared = prepare(array_frame(every), replace(spec, height=16, width=16))
    return np.ascontiguousarray(prepared.reshape(_BYTE_VALUES, spec.channels), np.float32)
