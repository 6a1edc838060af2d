"""Networks are built by name, and a saved network loads without code of nightread."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.applications import densenet, resnet, resnet_v2

from models.networks.backbones import backbone_names, preprocessed
from models.networks.cnn import build_network
from nightread.errors import UsageFault

OWN = [("classic", (28, 28, 1)), ("residual", (28, 28, 3)), ("residual", (128, 128, 1)), ("detector", (28, 28, 1))]
BACKBONES = [("mobilenetv3small", (32, 32, 1)), ("ResNet50", (32, 32, 3)), ("EfficientNetB0", (32, 32, 1))]


def test_the_classic_network_is_as_documented() -> None:
    """Its layers, and 225,034 parameters for 28 x 28 with ten labels, are those of the documentation."""
    model = build_network("classic", (28, 28, 1), 10, "softmax")
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    assert kinds == ["Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dropout", "Dense"]
    assert [model.layers[index].filters for index in (1, 3)] == [32, 64]
    assert model.layers[6].units == 128
    assert model.layers[7].rate == 0.5
    assert model.count_params() == 225_034


@pytest.mark.parametrize(("name", "shape"), [*OWN, *BACKBONES])
@pytest.mark.slow
def test_a_saved_network_loads_in_safe_mode_and_gives_the_same_scores(
    name: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    """Softmax scores sum up to 1, and the graph is flat, so that explanations find a convolution."""
    model = build_network(name, shape, 3, "softmax", seed=1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    inputs = np.random.default_rng(0).random((2, *shape), np.float32)
    scores = again.predict_on_batch(inputs)
    np.testing.assert_allclose(scores, model.predict_on_batch(inputs), atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in again.layers)
    assert not any(isinstance(layer, keras.Model) for layer in again.layers)


@pytest.mark.parametrize(("name", "shape"), OWN)
def test_own_networks_are_smaller_than_a_megabyte(name: str, shape: tuple[int, int, int]) -> None:
    """The size in float32 is small enough to ship a bundle."""
    assert build_network(name, shape, 10, "sigmoid").count_params() * 4 < 1_000_000


def test_the_same_seed_gives_the_same_weights() -> None:
    """Another seed gives other weights."""
    first, again, other = (build_network("detector", (28, 28, 1), 2, "softmax", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.get_weights()[0], again.get_weights()[0])
    assert (first.get_weights()[0] != other.get_weights()[0]).any()


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("ResNet50", resnet.preprocess_input),
        ("ResNet50V2", resnet_v2.preprocess_input),
        ("DenseNet121", densenet.preprocess_input),
    ],
)
def test_the_preprocessing_is_that_of_the_published_weights(name: str, published: Callable[..., Any]) -> None:
    """For RGB of 0..1, the result equals that of `preprocess_input` for the same RGB of 0..255."""
    colour = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    given = keras.ops.convert_to_numpy(preprocessed(name, keras.ops.convert_to_tensor(colour)))
    np.testing.assert_allclose(given, published((colour * 255).copy()), atol=1e-3)


def test_every_application_has_a_known_preprocessing() -> None:
    """A new application of Keras must get a preprocessing before it can be used."""
    image = keras.ops.zeros((1, 4, 4, 3))
    assert len(backbone_names()) > 30
    for name in backbone_names():
        assert preprocessed(name, image).shape == (1, 4, 4, 3)


@pytest.mark.slow
def test_pretrained_weights_come_from_a_file(tmp_path: Path) -> None:
    """Published weights contain only the layers without the top."""
    body = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=1.0)
    body.save_weights(tmp_path / "mobilenet_notop.weights.h5")
    model = build_network("MobileNet", (32, 32, 1), 2, "softmax", weights=tmp_path / "mobilenet_notop.weights.h5")
    np.testing.assert_array_equal(model.get_layer("conv1").get_weights()[0], body.get_layer("conv1").get_weights()[0])


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet", (28, 28, 1), "no network lenet; known networks: classic, residual, detector, ConvNeXtBase"),
        ("ResNet50", (28, 28, 1), r"ResNet50 cannot take images of 28 x 28: try a larger size \(--size\)"),
        ("classic", (8, 8, 1), "at least 10 x 10"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(name: str, shape: tuple[int, int, int], message: str) -> None:
    """The error is a usage error, and its message names the remedy."""
    with pytest.raises(UsageFault, match=message):
        build_network(name, shape, 2, "softmax")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """This holds for weights of another network and for networks without pretrained weights."""
    path = tmp_path / "other.weights.h5"
    build_network("classic", (28, 28, 1), 2, "softmax").save_weights(path)
    with pytest.raises(UsageFault, match="do not fit MobileNet, which is built without its top"):
        build_network("MobileNet", (32, 32, 1), 2, "softmax", weights=path)
    with pytest.raises(UsageFault, match="no pretrained weights for classic"):
        build_network("classic", (28, 28, 1), 2, "softmax", weights=path)
