"""Networks that Keras 2 saved are imported, and their scores are those of the network before it was saved."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import skip_reasons
from keras import layers
from keras2_files import rewrite_as_keras_2

from models.importing.convert import converted
from models.importing.errors import RefusedModel
from models.importing.foreign import inspect, replace_config

SIDE = 32
APPLICATIONS = {
    "MobileNet": keras.applications.MobileNet,
    "MobileNetV2": keras.applications.MobileNetV2,
    "EfficientNetB0": keras.applications.EfficientNetB0,
    "Xception": keras.applications.Xception,
}


def _between(*middle: Any) -> Any:
    """Return a small network with these layers in the middle."""
    head = [layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")]
    start = [keras.Input((SIDE, SIDE, 1)), layers.Conv2D(4, 3, padding="same", activation="relu")]
    return keras.Sequential([*start, *middle, *head])


def _on_lines(*middle: Any) -> Any:
    return _between(layers.Reshape((SIDE, -1)), *middle, layers.Reshape((1, 1, -1)))


def _unet() -> Any:
    image = keras.Input((SIDE, SIDE, 1))
    down = layers.SeparableConv2D(4, 3, padding="same", activation="relu")(image)
    low = layers.DepthwiseConv2D(3, padding="same")(layers.MaxPooling2D()(down))
    up = layers.Conv2DTranspose(4, 2, strides=2)(layers.BatchNormalization()(low))
    joined = layers.Concatenate()([up, down])
    return keras.Model(image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(joined)))


def _inner(base: Any) -> Any:
    image = keras.Input((SIDE, SIDE, 1))
    return keras.Model(image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(base(image))))


def _twice(base: Any) -> Any:
    image = keras.Input((SIDE, SIDE, 1))
    both = layers.Subtract()([base(image), base(layers.Rescaling(2.0)(image))])
    return keras.Model(image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(both)))


def _ends_in(base: Any) -> Any:
    image = keras.Input((SIDE, SIDE, 1))
    return keras.Model(image, base(layers.Rescaling(2.0)(image)))


def _functional() -> Any:
    image = keras.Input((SIDE, SIDE, 1))
    return keras.Model(image, layers.SeparableConv2D(4, 3, name="block_slash_separable")(image))


def _sequential() -> Any:
    return keras.Sequential([keras.Input((SIDE, SIDE, 1)), layers.DepthwiseConv2D(3), layers.Conv2DTranspose(4, 3)])


NETWORKS: dict[str, Callable[[], Any]] = {
    "depthwise": lambda: _between(layers.DepthwiseConv2D(3)),
    "separable": lambda: _between(layers.SeparableConv2D(4, 3)),
    "transposed": lambda: _between(layers.Conv2DTranspose(4, 3)),
    "along lines": lambda: _on_lines(
        layers.DepthwiseConv1D(3), layers.SeparableConv1D(4, 3), layers.Conv1DTranspose(4, 3)
    ),
    "in space": lambda: _between(
        layers.Reshape((SIDE, SIDE, 4, 1)), layers.Conv3DTranspose(2, 2), layers.Flatten(), layers.Reshape((1, 1, -1))
    ),
    "batch normalization": lambda: _between(layers.BatchNormalization()),
    "spatial dropout": lambda: _between(layers.SpatialDropout2D(0.2)),
    "recurrent": lambda: _on_lines(layers.LSTM(4, return_sequences=True), layers.Bidirectional(layers.GRU(4))),
    "by time": lambda: _between(
        layers.Reshape((4, 8, SIDE, 4)), layers.TimeDistributed(layers.DepthwiseConv2D(3)), layers.Reshape((1, 1, -1))
    ),
    "U-Net": _unet,
    "inner network": lambda: _inner(_sequential()),
    "inner functional network": lambda: _inner(_functional()),
    "inner network twice": lambda: _twice(_sequential()),
    "inner network at the end": lambda: _ends_in(_between(layers.DepthwiseConv2D(3))),
}
ENTRIES: dict[str, dict[str, Any]] = {
    "SpatialDropout2D": {"noise_shape": None, "trainable": True},
    "LSTM": {"time_major": False},
    "GRU": {"time_major": False},
}
"""Arguments of single layers that Keras 2 wrote and Keras 3 does not know."""


def _saved(model: Any, path: Path) -> tuple[Any, Any]:
    """Save the network as Keras 2 wrote it. Returns images, and their scores before it was saved."""
    images = np.random.default_rng(1).random((2, *model.input_shape[1:]), np.float32)
    scores = model.predict_on_batch(images)
    model.save(path)
    rewrite_as_keras_2(path, entries=ENTRIES)
    return images, scores


def _loaded(path: Path) -> Any:
    """Load the network as the sandbox does."""
    replace_config(path, inspect(path).config)
    return keras.saving.load_model(path, compile=False, safe_mode=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_keras_2_has_the_scores_that_it_had(name: str, tmp_path: Path) -> None:
    """Entries without effect, such as `groups` of a depthwise convolution, do not stop the import."""
    keras.utils.set_random_seed(1)
    images, scores = _saved(NETWORKS[name](), tmp_path / "net.h5")
    np.testing.assert_allclose(_loaded(tmp_path / "net.h5").predict_on_batch(images), scores, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_well_known_network_of_keras_2_has_the_scores_that_it_had(name: str, tmp_path: Path) -> None:
    """They consist of depthwise and separable convolutions."""
    keras.utils.set_random_seed(1)
    side = 71 if name == "Xception" else SIDE  # the smallest that it accepts
    model = APPLICATIONS[name](input_shape=(side, side, 1), weights=None, classes=2)
    images, scores = _saved(model, tmp_path / "net.h5")
    np.testing.assert_allclose(_loaded(tmp_path / "net.h5").predict_on_batch(images), scores, atol=1e-5)


@pytest.mark.slow
def test_the_sandbox_converts_a_network_of_keras_2(tmp_path: Path) -> None:
    """The scores come from the converted file."""
    keras.utils.set_random_seed(1)
    images, scores = _saved(_unet(), tmp_path / "net.h5")
    before = (tmp_path / "net.h5").read_bytes()
    with converted(tmp_path / "net.h5", (SIDE, SIDE, 1), images, accept_weaker=True) as conversion:
        np.testing.assert_allclose(conversion.scores, scores, atol=1e-6)
    assert (tmp_path / "net.h5").read_bytes() == before


def test_an_activation_that_keras_3_computes_differently_is_refused(tmp_path: Path) -> None:
    """Otherwise the network would be imported without golden images, and all its scores would be wrong."""
    _saved(_between(layers.Activation("hard_sigmoid")), tmp_path / "net.h5")
    with pytest.raises(RefusedModel, match="the scores would differ"):
        inspect(tmp_path / "net.h5")


@pytest.mark.slow
def test_the_files_of_the_generator_have_the_scores_that_it_prints(tmp_path: Path) -> None:
    """../shared/cases/keras2_h5.py prints the scores of each network, with four digits."""
    script = skip_reasons.SHARED_CASES / "keras2_h5.py"
    if not script.is_file():
        pytest.skip(skip_reasons.NO_SHARED_CASES)
    command = [sys.executable, str(script), str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=110).stdout
    images = np.random.default_rng(1).random((1, SIDE, SIDE, 1), np.float32)
    names = [line.split(" ", 1) for line in printed.splitlines() if "[[" in line]
    for name, scores in names:
        found = _loaded(tmp_path / f"{name}.h5").predict_on_batch(images)
        np.testing.assert_allclose(found, json.loads(scores), atol=1e-4, err_msg=name)
    assert len(names) == 6
