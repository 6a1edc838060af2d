"""Select the wrong predictions with the highest confidence, and draw their images as the network sees them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.spec import RGB, InputSpec
from models.datasets.dataset import Examples
from models.evaluation.predictions import Predictions
from models.networks.scoring import Scored

MOST = 24
_LARGEST_SIDE = 160
_LOSSLESS_SIDE = 64
_QUALITY = 88


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """One wrong prediction and its picture."""

    name: str
    """The name of the image, from `Examples.names`."""
    true: str
    given: str
    label: str
    """The assigned label; if no finding or several were assigned, the finding with the largest error."""
    score: float
    """The score of `label`."""
    picture: str
    """The picture as a data URI."""


def worst_mistakes(predictions: Predictions, scored: Scored, examples: Examples, spec: InputSpec) -> list[Mistake]:
    """Return up to 24 wrong predictions, the most confident first."""
    errors = _errors(predictions)
    worst = errors.max(axis=1, initial=0.0)
    order = [int(image) for image in np.argsort(-worst, kind="stable")[:MOST] if worst[image] > 0]
    return [_mistake(predictions, image, int(errors[image].argmax()), scored, examples, spec) for image in order]


def picture_uri(prepared: NDArray[np.float32], spec: InputSpec) -> str:
    """Return a prepared frame (height, width, channels) as a PNG or JPEG data URI, with scaling and mean undone.

    If the channels show windows or neighbours, only the first channel that shows the slice itself is used.
    """
    if spec.meanings:
        shown_channel = spec.shown_channel
        prepared, spec = prepared[..., shown_channel : shown_channel + 1], spec.of_channel(shown_channel)
    shown = prepared * np.array(spec.std or 1, np.float32) + np.array(spec.mean or 0, np.float32)
    shown = (shown - spec.scale_low) / (spec.scale_high - spec.scale_low)
    pixels: NDArray[Any] = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    shrink = _LARGEST_SIDE / max(height, width)
    if shrink < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    if spec.channels > 1 and spec.channel_order == RGB:  # OpenCV writes BGR
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    small = max(height, width) <= _LOSSLESS_SIDE
    kind, options = ("png", []) if small else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    _, encoded = cv2.imencode(f".{kind}", pixels, options)
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def _errors(predictions: Predictions) -> NDArray[np.float64]:
    """Return the error of each wrong score, (images, labels); for softmax only the error of the assigned label."""
    wrong = predictions.assigned != predictions.truth
    if predictions.exclusive:
        wrong &= predictions.assigned | ~predictions.assigned.any(axis=1, keepdims=True)
    return np.where(wrong, abs(predictions.truth - predictions.scores), 0.0)


def _mistake(
    predictions: Predictions, image: int, column: int, scored: Scored, examples: Examples, spec: InputSpec
) -> Mistake:
    frames = np.flatnonzero(scored.image_of == image)
    frame = frames[scored.scores[frames, column].argmax()]
    return Mistake(
        name=str(examples.names[image]),
        true=_named(predictions, predictions.truth[image], int(predictions.true[image])),
        given=_named(predictions, predictions.assigned[image], int(predictions.given[image])),
        label=predictions.labels[column],
        score=float(predictions.scores[image, column]),
        picture=picture_uri(examples.inputs([int(frame)], spec)[0], spec),
    )


def _named(predictions: Predictions, has: Sequence[bool] | NDArray[np.bool_], one: int) -> str:
    """Return the label of a softmax network, or all findings of a sigmoid network, as text."""
    if predictions.exclusive or not any(has):
        return predictions.names[one] if predictions.exclusive else predictions.names[-1]
    return ", ".join(label for label, present in zip(predictions.labels, has, strict=True) if present)
