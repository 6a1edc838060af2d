"""Choose the default input of a network for a folder of files: size and channels as the data are."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from imaging.spec import InputSpec, Intensity
from models.datasets.file_parts import LabelledFile

SIZE = 128
"""Height and width in pixels if the files differ in size, or are larger than _LARGEST."""
_LARGEST = 256
"""A network for films of 2,000 x 2,000 pixels cannot be trained by default."""
_MOST_DECODED = 64
"""Number of pictures that are decoded to find out whether their colours are all gray."""
_GRAY_DIFFERENCE = 4
"""Largest difference between red, green and blue of a gray pixel: JPEG rounds them differently."""


def dicom_spec(_folder: Path, files: Sequence[LabelledFile]) -> InputSpec:
    """Return the default input for DICOM files: one channel, with the window of their headers."""
    height, width = _size(files)
    return InputSpec(height=height, width=width, channels=1, intensity=Intensity(kind="voi"), aspect="pad")


def image_spec(folder: Path, files: Sequence[LabelledFile]) -> InputSpec:
    """Return the default input for pictures: three channels if at least one picture is in colour."""
    height, width = _size(files)
    coloured = [folder / file.name for file in files if file.info.in_colour]
    step = max(1, len(coloured) // _MOST_DECODED)
    channels = 3 if any(_has_colour(path) for path in coloured[::step]) else 1
    return InputSpec(height=height, width=width, channels=channels, intensity=Intensity(kind="full"))


def _size(files: Sequence[LabelledFile]) -> tuple[int, int]:
    sizes = {file.info.size for file in files}
    only = next(iter(sizes)) if len(sizes) == 1 else None
    return only if only and max(only) <= _LARGEST else (SIZE, SIZE)


def _has_colour(path: Path) -> bool:
    """Return whether the pixels have a colour. Many gray pictures are stored with three equal channels."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return pixels is None or int(np.ptp(pixels, axis=2).max()) > _GRAY_DIFFERENCE
