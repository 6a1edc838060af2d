"""Compute which pixels are evidence for a label by Grad-CAM (Selvaraju et al., 2017, arXiv:1610.02391)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.explanations.gradients import executed, gradient, tapped
from models.postprocessing import SOFTMAX
from models.runtimes.keras_network import KerasNetwork
from nightread.errors import UsageFault

METHOD = "Grad-CAM"
_CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
_COMPLETIONS = (
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "Dropout", "SpatialDropout2D"),
    *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Add", "Concatenate", "Multiply"),
)
"""Layers that may follow a convolution at the same size. The map is taken after the last of these layers, so that it
includes normalisation, activation and the other path of a residual block.
"""
_TINY = 1e-7


def grad_cam(network: KerasNetwork, inputs: NDArray[np.float32], output: int) -> tuple[NDArray[np.float32], str]:
    """Return the evidence for an output, (height, width), and the name of the layer from which it was computed.

    No value is below 0. `inputs` is one frame, (1, height, width, channels). Raises UsageFault for a network without
    convolutions.
    """
    bundle = network.bundle
    layer, shape = _last_convolution(network, inputs)
    with _logits(network.model) as bare:
        objective = _evidence(
            output, len(bundle.labels), bare=bare, softmax=bundle.postprocessing.activation == SOFTMAX
        )
        features, slopes = gradient(network.model, layer, shape, inputs, objective)
    return _heat(features[0], slopes[0], bundle.spec.shape[:2]), str(layer.name)


def _last_convolution(network: KerasNetwork, inputs: NDArray[np.float32]) -> tuple[Any, tuple[int, ...]]:
    """Return the layer whose output is explained, and the shape of that output.

    The layer is the last convolution with a map of more than one pixel, or the last of the _COMPLETIONS that follow it.
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

    The gradient of a saturated softmax is 0; the gradient of its logits is not.
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

    For sigmoid, the log odds are the logit of the label. For softmax, they are this logit minus the
    log-sum-exp of the other logits.
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


def _heat(features: NDArray[np.float32], slopes: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Weight the channels by their mean gradient, drop negative values, and resize the sum to the input."""
    weighed = np.maximum((features * slopes.mean(axis=(0, 1))).sum(axis=-1), 0)
    heat: NDArray[np.float32] = cv2.resize(weighed, (size[1], size[0]), interpolation=cv2.INTER_CUBIC).clip(0)
    return heat
