"""The description that Keras 2 wrote becomes one that Keras 3 reads, and nothing else changes."""

from typing import Any

import pytest

from models.importing.errors import RefusedModel
from models.importing.keras2 import rewrite


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "net", "layers": list(layers)}}


def layer(kind: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "one", **settings}}


def rewritten(kind: str, **settings: Any) -> dict[str, Any]:
    """Return the arguments of a layer after the rewriting, without its name."""
    network = sequential(layer(kind, **settings))
    rewrite(network)
    (only,) = network["config"]["layers"]
    return {name: value for name, value in only["config"].items() if name != "name"}


@pytest.mark.parametrize(
    "kind",
    [
        *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
        *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    ],
)
def test_one_group_is_removed_and_several_are_refused(kind: str) -> None:
    """Keras 3 knows no groups for these layers."""
    assert rewritten(kind, groups=1, filters=4) == {"filters": 4}
    with pytest.raises(RefusedModel, match=rf"The layer one \({kind}\) has a value of `groups`"):
        rewritten(kind, groups=2)


def test_groups_of_an_ordinary_convolution_stay() -> None:
    """They change its scores."""
    assert rewritten("Conv2D", groups=2) == {"groups": 2}


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("SeparableConv2D", {"kernel_initializer": {"class_name": "theirs"}, "kernel_regularizer": None}, {}),
        ("Dense", {"bias_constraint": None, "units": 2}, {"units": 2}),
        ("LSTM", {"time_major": False, "units": 2}, {"units": 2}),
        ("SpatialDropout2D", {"noise_shape": None, "trainable": True, "rate": 0.5}, {"rate": 0.5}),
        ("Dropout", {"noise_shape": None, "rate": 0.5}, {"noise_shape": None, "rate": 0.5}),
        ("RandomFlip", {"rng_type": "stateful"}, {}),
        ("Dense", {"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}}, {"dtype": "mixed_float16"}),
        ("BatchNormalization", {"axis": [3]}, {"axis": 3}),
        ("BatchNormalization", {"axis": -1}, {"axis": -1}),
        ("LeakyReLU", {"alpha": 0.2}, {"negative_slope": 0.2}),
        ("ELU", {"alpha": 0.2}, {"alpha": 0.2}),
        ("LayerNormalization", {"axis": [3]}, {"axis": [3]}),
        ("Attention", {"score_mode": "dot", "causal": False}, {}),
        ("Attention", {"score_mode": "concat"}, {"score_mode": "concat"}),
        ("Conv2D", {"batch_input_shape": [None, 8, 8, 1]}, {"input_shape": [8, 8, 1]}),
        ("InputLayer", {"batch_input_shape": [None, 8, 8, 1]}, {"batch_input_shape": [None, 8, 8, 1]}),
    ],
)
def test_arguments_are_written_as_keras_3_reads_them(
    kind: str, settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Arguments that only the training uses are removed, since the weights are in the file."""
    assert rewritten(kind, **settings) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "hard_sigmoid"},
        {"recurrent_activation": "hard_sigmoid"},
        {"activation": {"class_name": "function", "config": "hard_sigmoid"}},
    ],
)
def test_an_activation_with_another_meaning_is_refused(settings: dict[str, Any]) -> None:
    """hard_sigmoid(1) is 0.7 in Keras 2 and 2/3 in Keras 3."""
    with pytest.raises(RefusedModel, match="the scores would differ"):
        rewritten("LSTM", **settings)


def test_time_first_is_refused() -> None:
    """Keras 3 would take the time for the batch."""
    with pytest.raises(RefusedModel, match="time_major"):
        rewritten("LSTM", time_major=True)


def test_a_list_of_layers_becomes_an_object() -> None:
    """Versions before 2.2.3 wrote a list."""
    network: dict[str, Any] = {"class_name": "Sequential", "config": [layer("DepthwiseConv2D", groups=1)]}
    rewrite(network)
    assert network["config"] == {"name": "sequential", "layers": [layer("DepthwiseConv2D")]}


def test_inner_networks_and_wrapped_layers_are_rewritten() -> None:
    """A wrapped layer gets the module that Keras 3 needs."""
    wrapped = layer("DepthwiseConv2D", groups=1)
    network = sequential(sequential(layer("TimeDistributed", layer=wrapped)))
    rewrite(network)
    assert wrapped == {"class_name": "DepthwiseConv2D", "config": {"name": "one"}, "module": "keras.layers"}


def test_names_with_a_slash_are_renamed_everywhere() -> None:
    """Two names must not become the same."""
    layers = [layer("Dense") | {"name": name, "inbound_nodes": []} for name in ("a/b", "a_b")]
    layers[0]["config"]["name"], layers[1]["config"]["name"] = "a/b", "a_b"
    layers[1]["inbound_nodes"] = [[["a/b", 0, 0, {}]]]
    network: dict[str, Any] = {
        "class_name": "Functional",
        "config": {"layers": layers, "output_layers": [["a/b", 0, 0]]},
    }
    rewrite(network)
    assert [one["name"] for one in layers] == ["a_b_", "a_b"]
    assert layers[0]["config"]["name"] == "a_b_"
    assert layers[1]["inbound_nodes"] == [[["a_b_", 0, 0, {}]]]
    assert network["config"]["output_layers"] == [["a_b_", 0, 0]]


@pytest.mark.parametrize(
    ("inner", "called", "output"),
    [
        ({"class_name": "Functional", "config": {"layers": [layer("InputLayer")]}}, 0, 1),
        ({"class_name": "Sequential", "config": {"layers": [layer("InputLayer")]}}, 0, 0),
        ({"class_name": "Sequential", "config": {"layers": [layer("Dense")]}}, 1, 1),
        (layer("Dense"), 1, 1),
    ],
)
def test_calls_of_inner_networks_are_counted_from_zero(inner: dict[str, Any], called: int, output: int) -> None:
    """Keras 3 subtracts 1 itself for the outputs of functional nested models."""
    inner = inner | {"name": "inner", "inbound_nodes": [[["image", 0, 0, {}]]]}
    last = layer("Flatten") | {"name": "last", "inbound_nodes": [[["inner", 1, 0, {}]]]}
    network: dict[str, Any] = {
        "class_name": "Functional",
        "config": {"layers": [inner, last], "output_layers": [["inner", 1, 0]]},
    }
    rewrite(network)
    assert last["inbound_nodes"] == [[["inner", called, 0, {}]]]
    assert network["config"]["output_layers"] == [["inner", output, 0]]


@pytest.mark.parametrize("module", ["keras.engine.functional", "keras.src.engine.functional"])
def test_the_module_of_functional_networks_is_the_new_one(module: str) -> None:
    """Keras 2.12 to 2.15 wrote it in `.keras` files."""
    network = {"module": module, "class_name": "Functional", "config": {"layers": []}}
    rewrite(network)
    assert network["module"] == "keras.src.models.functional"


@pytest.mark.parametrize(
    "odd",
    [
        {"class_name": ["Sequential"], "name": "inner", "config": {"layers": [[]]}},
        {"class_name": "Sequential", "name": ["inner"], "config": {"layers": [1]}},
        {"class_name": "Sequential", "name": "inner", "config": 3, "inbound_nodes": 7},
        {"class_name": "TimeDistributed", "config": {"layer": {"class_name": [1], "config": []}}},
        {"class_name": "LSTM", "config": {"activation": [], "dtype": {"config": []}, "axis": {}}},
        [[[1]]],
        None,
    ],
)
def test_a_description_of_any_form_is_left_to_the_check(odd: Any) -> None:
    """The check of the architecture refuses it afterwards, with a message."""
    layers = [odd, layer("Dense") | {"name": "dense", "inbound_nodes": [[["inner", 1]], "x", 3]}]
    description = {"class_name": "Functional", "config": {"layers": layers, "output_layers": ["inner", True]}}
    rewrite(description)
    assert description["config"]["layers"][1]["name"] == "dense"  # type: ignore[index]
