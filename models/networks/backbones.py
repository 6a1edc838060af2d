"""Build the networks of keras.applications for the inputs of nightread: prepared frames of scale 0..1."""

import inspect
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from nightread.errors import UsageFault

_RGB = 3
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_IMAGENET_BGR = (103.939, 116.779, 123.68)
_OWN_PREPROCESSING = ("EfficientNet", "MobileNetV3", "ConvNeXt")
"""Networks that take values of 0..255 and scale them themselves."""
_SYMMETRIC = ("InceptionResNetV2", "InceptionV3", "MobileNet", "NASNet", "Xception")
"""Networks that take values of -1..1."""


def backbone_names() -> list[str]:
    """List the networks of keras.applications, as spelled there."""
    return [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]


def backbone(name: str, inputs: Any, weights: Path | None) -> Any:
    """Return pooled features (n, features) of `inputs`, (n, height, width, 1 or 3) of scale 0..1.

    `name` is spelled as in Keras. The preprocessing that the published weights were trained with is part of the graph.
    The graph is flat: the last convolution is a layer of the network itself, where class activation maps find it.
    Raises UsageFault for a size or weights that do not fit.
    """
    colour = layers.Concatenate()([inputs] * _RGB) if inputs.shape[-1] == 1 else inputs
    build = getattr(keras.applications, name)
    shape = (*inputs.shape[1:3], _RGB)  # without it Keras would not check the size
    try:
        body = build(include_top=False, weights=None, input_tensor=preprocessed(name, colour), input_shape=shape)
    except ValueError as error:
        size = " x ".join(str(side) for side in inputs.shape[1:3])
        raise UsageFault(f"{name} cannot take images of {size}: try a larger size (--size)") from error
    if weights is not None:
        _load(body, name, weights)
    return layers.GlobalAveragePooling2D()(body.output)


def preprocessed(name: str, colour: Any) -> Any:
    """Scale RGB of 0..1 as `preprocess_input` of this application does (keras/src/applications/imagenet_utils.py)."""
    if name.startswith(_OWN_PREPROCESSING):
        return layers.Rescaling(255.0)(colour)
    if name.startswith("DenseNet"):
        return layers.Normalization(mean=_IMAGENET_MEAN, variance=[std**2 for std in _IMAGENET_STD])(colour)
    if name.startswith(_SYMMETRIC) or (name.startswith("ResNet") and name.endswith("V2")):
        return layers.Rescaling(2.0, offset=-1.0)(colour)
    if name.startswith(("ResNet", "VGG")):
        scaled = ops.flip(layers.Rescaling(255.0)(colour), axis=-1)
        return layers.Normalization(mean=_IMAGENET_BGR, variance=[1.0] * _RGB)(scaled)
    raise UsageFault(f"nightread does not know how keras.applications.{name} scales its input: choose another network")


def _load(body: Any, name: str, weights: Path) -> None:
    try:
        body.load_weights(weights)
    except Exception as error:
        raise UsageFault(
            f"the weights in {weights.name} do not fit {name}, which is built without its top layers "
            f"({type(error).__name__}): give the file whose name ends with `notop.h5`, or a file that Keras saved from "
            "the same network"
        ) from error
