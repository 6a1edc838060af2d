"""Build networks by name with Keras 3: inputs are prepared frames, outputs are scores in 0..1."""

from pathlib import Path
from typing import Any

import keras
from keras import layers

from models.networks.backbones import backbone, backbone_names
from models.networks.names import CLASSIC, DETECTOR, OWN_NETWORKS, RESIDUAL
from nightread.errors import UsageFault

_DETECTOR_WIDTHS = (8, 16, 24, 32, 32)
_RESIDUAL_WIDTHS = (16, 32, 64)
_SMALLEST_CLASSIC = 10
"""The smallest side of an input of the classic network: its convolutions and poolings reduce 10 pixels to one."""
_LARGE = 64
"""If the input has at least this many pixels per side, the residual network halves it first."""


def build_network(
    name: str,
    shape: tuple[int, int, int],
    labels: int,
    activation: str,
    *,
    weights: Path | None = None,
    seed: int | None = None,
) -> Any:
    """Return an untrained keras.Model from inputs (n, *shape) to scores (n, labels) in float32.

    `weights` is a file of pretrained weights, for keras.applications only. `seed` makes the initial weights
    reproducible. Raises UsageFault for an unknown name, a size that the network cannot take, and weights that do not
    fit.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    if name.lower() not in OWN_NETWORKS:
        features = backbone(_known(name), inputs, weights)
    elif weights is not None:
        raise UsageFault(f"there are no pretrained weights for {name}: choose a network of keras.applications")
    else:
        features = _OWN[name.lower()](inputs)
    # float32 even if the rest runs in float16, whose smallest positive number is 6e-8.
    scores = layers.Dense(labels, activation=activation, dtype="float32", name="scores")(features)
    return keras.Model(inputs, scores, name=name.lower())


def _known(name: str) -> str:
    """Return the name as keras.applications spells it. Raises UsageFault for an unknown name."""
    spelled = {known.lower(): known for known in backbone_names()}
    if name.lower() not in spelled:
        known = ", ".join((*OWN_NETWORKS, *spelled.values()))
        raise UsageFault(f"there is no network {name}; known networks: {known}")
    return spelled[name.lower()]


def _classic(inputs: Any) -> Any:
    """Build the network of the Keras guide for MNIST, with one more dense layer before the last."""
    if min(inputs.shape[1:3]) < _SMALLEST_CLASSIC:
        raise UsageFault(f"classic needs images of at least {_SMALLEST_CLASSIC} x {_SMALLEST_CLASSIC}")
    features = layers.Conv2D(32, 3, activation="relu")(inputs)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Conv2D(64, 3, activation="relu")(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dense(128, activation="relu")(layers.Flatten()(features))
    return layers.Dropout(0.5)(features)


def _residual(inputs: Any) -> Any:
    """Build three stages of two residual blocks (He et al., 2016) and a global mean. A saved network has 0.7 MB."""
    stem = 2 if min(inputs.shape[1:3]) >= _LARGE else 1
    features = _block(inputs, _RESIDUAL_WIDTHS[0], strides=stem)
    for stage, width in enumerate(_RESIDUAL_WIDTHS):
        features = _residual_block(features, width, strides=1 if stage == 0 else 2)
        features = _residual_block(features, width, strides=1)
    return layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(features))


def _residual_block(features: Any, width: int, *, strides: int) -> Any:
    inner = _block(features, width, strides=strides)
    inner = layers.Conv2D(width, 3, padding="same", use_bias=False)(inner)
    inner = layers.BatchNormalization(momentum=0.9)(inner)
    if strides != 1 or features.shape[-1] != width:
        features = layers.Conv2D(width, 1, strides=strides, padding="same", use_bias=False)(features)
        features = layers.BatchNormalization(momentum=0.9)(features)
    return layers.ReLU()(layers.Add()([features, inner]))


def _detector(inputs: Any) -> Any:
    """Build five convolutions and a global maximum.

    The two strides at the start make it cheap. The global maximum makes it a detector: one lesion anywhere is enough,
    and class activation maps show where it is.
    """
    first, second, third, *last = _DETECTOR_WIDTHS
    features = _block(inputs, first, kernel=5, strides=2)
    features = _block(features, second, strides=2)
    features = layers.MaxPooling2D(2, padding="same")(_block(features, third))
    for width in last:
        features = _block(features, width)
    return layers.GlobalMaxPooling2D()(features)


def _block(features: Any, width: int, *, kernel: int = 3, strides: int = 1) -> Any:
    features = layers.Conv2D(width, kernel, strides=strides, padding="same", use_bias=False)(features)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))


_OWN = {CLASSIC: _classic, RESIDUAL: _residual, DETECTOR: _detector}
