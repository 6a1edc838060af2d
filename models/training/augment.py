"""Rotate, shift and mirror training images with numpy and OpenCV, so that threads can do it during training."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.training.recipe import Augmentation

Images = NDArray[np.float32]

_AT_ONCE = 4
"""The number of channels that OpenCV can fill with different border values in one call."""


def augmented(inputs: Images, augmentation: Augmentation, spec: InputSpec, rng: np.random.Generator) -> Images:
    """Return a copy of prepared inputs (n, height, width, channels), each moved at random.

    Uncovered borders get the darkest value of `spec`. Brightness and size do not change.
    """
    count, height, width, _ = inputs.shape
    moved = np.array(inputs, np.float32, order="C")
    if augmentation.moves:
        moves = rng.uniform(-1, 1, (count, 3))
        moves *= (
            augmentation.rotation_degrees,
            augmentation.shift_share * width,
            augmentation.shift_share * height,
        )
        for image, (degrees, right, down) in zip(moved, moves.tolist(), strict=True):
            image[...] = _moved(image, degrees, (right, down), darkest(spec))
    if augmentation.flip:
        mirrored = rng.integers(0, 2, count, dtype=bool)
        moved[mirrored] = moved[mirrored][:, :, ::-1]
    return moved


def darkest(spec: InputSpec) -> tuple[float, ...]:
    """Return the prepared value of the lowest intensity, per channel; imaging.prepare pads with it, too."""
    mean, std = spec.mean or (0.0,) * spec.channels, spec.std or (1.0,) * spec.channels
    return tuple((spec.scale_low - centre) / width for centre, width in zip(mean, std, strict=True))


def _moved(image: Images, degrees: float, shift: tuple[float, float], border: tuple[float, ...]) -> Images:
    height, width, channels = image.shape
    matrix = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0))
    matrix[:, 2] += np.array(shift)
    turned = np.empty_like(image)
    for begin in range(0, channels, _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        part = cv2.warpAffine(
            np.ascontiguousarray(image[..., some]),
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=border[some],
        )
        turned[..., some] = np.asarray(part).reshape(turned[..., some].shape)
    return turned
