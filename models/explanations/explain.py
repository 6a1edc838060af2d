"""Compute which pixels are evidence for a label: Grad-CAM (Selvaraju et al., 2017, arXiv:1610.02391)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.explanations.gradients import executed, gradient, tapped
from models.postprocessing import SOFTMAX
from models.runtimes.network import Network
from nightread.errors import UsageFault

_CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
_COMPLETIONS = (
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "Dropout", "SpatialDropout2D"),
    *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Add", "Concatenate", "Multiply"),
)
"""Layers that may follow a convolution at the same size. The map is taken behind the last of them, so that it includes
normalisation, activation and the other path of a residual block.
"""
AT_THRESHOLD = 0.5
"""The place of the threshold on the scale of Explanation.level."""
_TINY = 1e-7


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The explanation of one score of one frame."""

    bundle: Bundle
    label: str
    score: float
    """The score of `label` from the network, neither calibrated nor aggregated."""
    layer: str
    """The layer whose output the map is computed from."""
    heat: NDArray[np.float32]
    """(height, width) of the input, 0..1: the share of each pixel in the evidence for `label`; the highest is 1, and
    all are 0 if there is no evidence."""
    level: float
    """0..1: how strong the evidence is, on one scale for all images: 0 for the score 0, 0.5 at the threshold, 1 for 1.
    """
    threshold: float
    """The lowest calibrated score with which `label` is the result; 0.5 if the bundle has no threshold for it."""
    prepared: NDArray[np.float32]
    """(height, width, channels): the input of the network."""

    @property
    def scaled_heat(self) -> NDArray[np.float32]:
        """Return the heat on the scale of `level`, so that colours of different images can be compared."""
        return self.heat * np.float32(self.level)

    @property
    def reaches_threshold(self) -> bool:
        """Return whether the evidence is strong enough for a finding."""
        return self.level >= AT_THRESHOLD


def explain(network: Network, prepared: NDArray[np.float32], label: str | None = None) -> Explanation:
    """Explain one prepared frame, (height, width, channels). The default label is the finding with the highest score.

    Raises UsageFault for an unknown label and for a network without convolutions.
    """
    bundle = network.bundle
    inputs = np.ascontiguousarray(prepared[None], np.float32)
    scores = network.batch_scores(inputs)[0]
    output = _output_of(bundle, scores, label)
    layer, shape = _last_convolution(network, inputs)
    threshold = bundle.postprocessing.thresholds.get(bundle.labels[output])
    threshold = AT_THRESHOLD if threshold is None else threshold
    calibrated = bundle.postprocessing.image_result(scores[None]).scores[output]
    with _logits(network.model) as bare:
        objective = _evidence(
            output, len(bundle.labels), bare=bare, softmax=bundle.postprocessing.activation == SOFTMAX
        )
        features, slopes = gradient(network.model, layer, shape, inputs, objective)
    return Explanation(
        bundle=bundle,
        label=bundle.labels[output],
        score=float(scores[output]),
        layer=layer.name,
        heat=_heat(features[0], slopes[0], bundle.spec.shape[:2]),
        level=_level(calibrated, threshold),
        threshold=threshold,
        prepared=inputs[0],
    )


def _output_of(bundle: Bundle, scores: NDArray[np.float32], label: str | None) -> int:
    if label is not None:
        if label not in bundle.labels:
            raise UsageFault(f"{bundle.reference} has no label {label}; it has {', '.join(bundle.labels)}.")
        return bundle.labels.index(label)
    findings = [index for index, name in enumerate(bundle.labels) if name != bundle.postprocessing.normal_label]
    return max(findings or range(len(scores)), key=lambda index: float(scores[index]))


def _last_convolution(network: Network, inputs: NDArray[np.float32]) -> tuple[Any, tuple[int, ...]]:
    """Return the layer whose output is explained, and the shape of that output.

    It is the last convolution with a map of more than one pixel, or the last layer of _COMPLETIONS that follows it.
    """
    ran = executed(network.model, inputs)
    found = [
        index
        for index, (layer, shape) in enumerate(ran)
        if type(layer).__name__ in _CONVOLUTIONS and len(shape) == inputs.ndim and shape[1] * shape[2] > 1
    ]
    if not found:
        raise UsageFault(
            f"{network.bundle.reference} cannot be explained: it has no convolution with a map of more than one pixel."
        )
    last = found[-1]
    while last + 1 < len(ran) and _completes(*ran[last + 1], size=ran[last][1][1:3]):
        last += 1
    return ran[last]


def _completes(layer: Any, shape: tuple[int, ...], *, size: tuple[int, ...]) -> bool:
    return type(layer).__name__ in _COMPLETIONS and shape[1:3] == size


@contextmanager
def _logits(model: Any) -> Iterator[bool]:
    """Remove the last softmax or sigmoid of the network while the context lasts; yield whether there was one.

    The gradient of a saturated softmax is 0; that of its logits is not.
    """
    import keras  # noqa: PLC0415 - seconds to import

    last = model
    while hasattr(last, "layers"):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        last.activation = keras.activations.linear
        try:
            yield True
        finally:
            last.activation = activation
    elif type(last).__name__ == "Softmax":
        before: Callable[[Any], Any] = keras.ops.log  # the log of a softmax is its logits, up to a constant
        with tapped(last, before):
            yield True
    else:
        yield False


def _evidence(output: int, labels: int, *, bare: bool, softmax: bool) -> Callable[[Any], Any]:
    """Return the function that computes the log odds of one label from the output of the network.

    These are the logit of the label, minus the log-sum-exp of the other logits for softmax.
    """
    import keras  # noqa: PLC0415

    others = [index for index in range(labels) if index != output]

    def evidence(values: Any) -> Any:
        if not bare:
            score = keras.ops.clip(values[output], _TINY, 1 - _TINY)
            return keras.ops.log(score) - keras.ops.log(1 - score)
        if not softmax or not others:
            return values[output]
        return values[output] - keras.ops.logsumexp(keras.ops.stack([values[index] for index in others]))

    return evidence


def _level(score: float, threshold: float) -> float:
    """Return the place of a score on the scale: linear below and above the threshold, which has the place 0.5."""
    if score < threshold:
        return AT_THRESHOLD * score / threshold
    return 1 - (1 - AT_THRESHOLD) * (1 - score) / (1 - threshold) if threshold < 1 else 1.0


def _heat(features: NDArray[np.float32], slopes: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Weight the channels by their mean gradient, drop negative values, and resize the sum to the input."""
    weighed = np.maximum((features * slopes.mean(axis=(0, 1))).sum(axis=-1), 0)
    heat = cv2.resize(weighed, (size[1], size[0]), interpolation=cv2.INTER_CUBIC).clip(0)
    highest = float(heat.max())
    scaled: NDArray[np.float32] = heat / np.float32(highest) if highest > 0 else heat
    return scaled
