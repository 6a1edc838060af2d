"""The small convolutional network of the phantom bundle. Keras 3 on any backend."""

from typing import Any

import keras
from keras import layers

from imaging.spec import InputSpec

WIDTHS = (8, 16, 24, 32, 32)


def small_cnn(spec: InputSpec, labels: int, *, widths: tuple[int, ...] = WIDTHS) -> Any:
    """Five convolutions and a global maximum; scores by softmax, shape (n, labels).

    The two strides at the start make it cheap, the global maximum makes it a detector: one lesion anywhere is enough,
    and class activation maps point at it.
    """
    inputs = keras.Input(spec.shape)
    first, second, third, *last = widths
    features = _block(inputs, first, kernel=5, strides=2)
    features = _block(features, second, strides=2)
    features = layers.MaxPooling2D(2)(_block(features, third))
    for width in last:
        features = _block(features, width)
    pooled = layers.GlobalMaxPooling2D()(features)
    return keras.Model(inputs, layers.Dense(labels, activation="softmax", name="scores")(pooled))


def _block(features: Any, width: int, *, kernel: int = 3, strides: int = 1) -> Any:
    features = layers.Conv2D(width, kernel, strides=strides, padding="same", use_bias=False)(features)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
