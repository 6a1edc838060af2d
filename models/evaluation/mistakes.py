"""The images that a network got most confidently wrong, drawn as the network sees them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.spec import RGB, InputSpec
from models.datasets.dataset import Examples
from models.evaluation.judged import Judged
from models.networks.scoring import Scored

MOST = 24
_LARGEST_SIDE = 160
_LOSSLESS_SIDE = 64
_QUALITY = 88


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """One wrong answer and its picture."""

    name: str
    """Which image it is: `Examples.names`."""
    true: str
    given: str
    label: str
    """The one that was given; of several findings, or where none was given, the one that is the most wrong."""
    score: float
    """Of `label`."""
    picture: str
    """A data URI."""


def worst_mistakes(judged: Judged, scored: Scored, examples: Examples, spec: InputSpec) -> list[Mistake]:
    """Up to 24, the most confident first."""
    errors = _errors(judged)
    worst = errors.max(axis=1, initial=0.0)
    order = [int(image) for image in np.argsort(-worst, kind="stable")[:MOST] if worst[image] > 0]
    return [_mistake(judged, image, int(errors[image].argmax()), scored, examples, spec) for image in order]


def picture_uri(prepared: NDArray[np.float32], spec: InputSpec) -> str:
    """A prepared frame (height, width, channels) as a PNG or JPEG data URI: scaling and mean undone."""
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


def _errors(judged: Judged) -> NDArray[np.float64]:
    """(images, labels): how confidently wrong; of labels that exclude each other only the one that was given counts."""
    wrong = judged.called != judged.truth
    if judged.exclusive:
        wrong &= judged.called | ~judged.called.any(axis=1, keepdims=True)
    return np.where(wrong, abs(judged.truth - judged.scores), 0.0)


def _mistake(judged: Judged, image: int, column: int, scored: Scored, examples: Examples, spec: InputSpec) -> Mistake:
    frames = np.flatnonzero(scored.image_of == image)
    frame = frames[scored.scores[frames, column].argmax()]
    return Mistake(
        name=str(examples.names[image]),
        true=_named(judged, judged.truth[image], int(judged.true[image])),
        given=_named(judged, judged.called[image], int(judged.given[image])),
        label=judged.labels[column],
        score=float(judged.scores[image, column]),
        picture=picture_uri(examples.inputs([int(frame)], spec)[0], spec),
    )


def _named(judged: Judged, has: Sequence[bool] | NDArray[np.bool_], one: int) -> str:
    """All findings of a sigmoid network; else the one label."""
    if judged.exclusive or not any(has):
        return judged.names[one] if judged.exclusive else judged.names[-1]
    return ", ".join(label for label, present in zip(judged.labels, has, strict=True) if present)
