"""The check of a foreign network's description, before Keras creates any object from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.importing.architecture import check_architecture, last_activation
from models.importing.errors import RefusedModel
from models.importing.foreign import CONFIG
from models.importing.foreign import inspect as inspect_file

ROOT = Path(__file__).parents[2]


def layer(class_name: str, *, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": {"name": "odd", **config}, "registered_name": None}


def network(*layers: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "net", "layers": [layer("InputLayer", batch_shape=[None, 8, 8, 1]), *layers]},
        "registered_name": "Sequential",
        "compile_config": {"loss": {"class_name": "whatever", "module": "its.author", "config": {}}},
    }


@pytest.mark.parametrize(
    "harmless",
    [
        layer("Conv2D", activation="relu", kernel_initializer="glorot_uniform", bias_regularizer="l2"),
        layer("Conv2D", kernel_initializer={"module": "keras.initializers", "class_name": "HeNormal", "config": {}}),
        layer("Dense", activation={"module": "builtins", "class_name": "function", "config": "relu"}),
        layer("Add", module="keras.src.ops.numpy"),
        layer("Conv2D", module=None, dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "f4"}}),
        layer("TimeDistributed", layer=layer("Dense", activation="tanh")),
    ],
)
def test_harmless_layers_of_keras_pass(harmless: dict[str, Any]) -> None:
    """Spellings of old and new files are accepted. The outer compile_config is ignored."""
    check_architecture(network(harmless))


@pytest.mark.parametrize(
    ("harmful", "message"),
    [
        (layer("Lambda", function="x"), r"layer odd \(Lambda\) is refused: it holds program code"),
        (layer("Lambda", module=None, function=["4wEA", None, None]), "holds program code"),
        (layer("TFSMLayer", filepath="graph"), "saved TensorFlow graph"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "may read any file"),
        (layer("TextVectorization", vocabulary="/etc/passwd"), "may read any file"),
        (layer("TorchModuleWrapper", module_="x"), "unpickles"),
        (layer("Attend", module="their.package"), r"\(their\.package\.Attend\).*list of harmless parts"),
        (layer("run", module="subprocess"), r"subprocess\.run"),
        (layer("Dense", module="keras.layers") | {"registered_name": "mine>Dense"}, "mine>Dense"),
        (layer("Dense", activation={"module": "os", "class_name": "function", "config": "system"}), r"os\.function"),
        (
            layer("Dense", activation={"module": "builtins", "class_name": "function", "config": "eval"}),
            r"builtins\.eval",
        ),
        (layer("Dense", activation={"class_name": "__lambda__", "config": {"value": "x"}}), "program code"),
        (layer("Dense", kernel_initializer={"module": "keras.saving", "class_name": "load_model"}), "load_model"),
        (layer("Dense", activation="their_swish"), "unknown activation: their_swish"),
        (layer("Dense", kernel_initializer="theirs"), "unknown kernel_initializer"),
        (layer("TimeDistributed", layer=layer("Lambda")), "holds program code"),
        (layer("Sequential", module="keras", layers=[]) | {"compile_config": {"loss": "mse"}}, "nested model"),
        ({"module": "os", "config": {}}, r"os\.None"),
        (layer("function", module="keras.models", function="load_model"), r"keras\.models\.function"),
        (layer("set_global_attribute", module="keras.src.backend.common.global_state"), "global_state"),
    ],
)
def test_parts_with_other_effects_than_computing_are_refused(harmful: dict[str, Any], message: str) -> None:
    """The message names the layer, the reason and what to do (CVE-2025-1550, -9905, -9906, -12058)."""
    with pytest.raises(RefusedModel, match=message) as refused:
        check_architecture(network(harmful))
    assert "Ask the author of the model" in str(refused.value)


def test_a_network_of_a_custom_class_is_refused() -> None:
    """A subclass of Model cannot be loaded without its author's code."""
    with pytest.raises(RefusedModel, match="class that is not part of Keras"):
        check_architecture({"module": "theirs", "class_name": "Net", "config": {}})


def test_a_description_that_is_too_deep_is_refused() -> None:
    """The file determines the depth, and the check does not use recursion."""
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(RefusedModel, match="deeper"):
        check_architecture(network(layer("Dense", units=deep)))


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    """The name of a layer is foreign text."""
    with pytest.raises(RefusedModel) as refused:
        check_architecture(network(layer("Lambda", name="\x1b[2J" + "x" * 1000)))
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (layer("Dense", activation="softmax"), "softmax"),
        (layer("Softmax"), "softmax"),
        (layer("Dense", activation={"module": "builtins", "class_name": "function", "config": "sigmoid"}), "sigmoid"),
        (layer("Flatten"), None),
        (network(layer("Dense", activation="linear")), "linear"),
    ],
)
def test_the_last_activation_is_found(last: dict[str, Any], expected: str | None) -> None:
    """It may be at the end of a nested model."""
    assert last_activation(network(last)) == expected


def test_the_shipped_bundle_passes_the_check() -> None:
    """Networks that nightread trains can be imported again."""
    config = inspect_file(ROOT / "models" / "bundles" / "phantom" / "model.keras").config
    assert last_activation(config) == "softmax"
    assert json.dumps(config).count("Lambda") == 0
    assert CONFIG == "config.json"
