"""Turn the heat of an explanation into a layer that lies over the picture of its frame."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.explanations.explain import AT_THRESHOLD
from models.explanations.overlay import colours_of, opacity_of

_OPAQUE = 255


def heat_layer(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the layer, RGBA of shape (height, width, 4), with a contour at the threshold.

    The layer is transparent where there is no heat. Over the grey picture, it looks like the overlay of
    `nightread explain`.
    """
    contour = _contour(heat)
    covered = opacity_of(heat) * (1 - contour)
    opacity = covered + contour
    colours = colours_of(heat)[..., ::-1] * covered[..., None] + _OPAQUE * contour[..., None]
    colours /= np.maximum(opacity, np.finfo(np.float32).tiny)[..., None]
    layer = np.dstack([colours, opacity * _OPAQUE])
    return np.rint(layer).clip(0, _OPAQUE).astype(np.uint8)


def _contour(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much the contour covers each pixel, 0..1."""
    drawn = np.zeros(heat.shape, np.uint8)
    reached = (heat >= AT_THRESHOLD).astype(np.uint8)
    contours, _ = cv2.findContours(reached, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, contours, -1, (_OPAQUE,), 1, cv2.LINE_AA)
    return drawn.astype(np.float32) / np.float32(_OPAQUE)
