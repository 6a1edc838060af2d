"""Rewrite a description that Keras 2 wrote, so that Keras 3 builds the same network from it.

Keras 3 refuses arguments that it does not know, and Keras 2 wrote arguments that have no effect: every convolution has
`groups`, and a separable convolution has the initializer of a kernel that it does not have.
"""

from collections.abc import Iterator
from typing import Any, cast

from models.importing.allowed import MODELS
from models.importing.architecture import printable
from models.importing.errors import RefusedModel

_ONLY_FOR_TRAINING = ("_initializer", "_regularizer", "_constraint")
"""Ends of the names of arguments that matter only in training. Scores depend on the weights, not on them."""
_WITHOUT_GROUPS = (
    *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
)
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM2D")
_RANDOM = ("RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip")
_RANDOM_MOVES = ("RandomRotation", "RandomTranslation", "RandomZoom")
_SPATIAL_DROPOUT = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
_EFFECTLESS: dict[str, tuple[str, object]] = {
    **dict.fromkeys(_WITHOUT_GROUPS, ("groups", 1)),
    **dict.fromkeys(_RECURRENT, ("time_major", False)),
    **dict.fromkeys(("Attention", "AdditiveAttention"), ("causal", False)),
}
"""Arguments that Keras 3 does not know, by class of layer, each with the value for which it has no effect."""
_UNUSED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*_RANDOM, *_RANDOM_MOVES), ("rng_type",)),
    **dict.fromkeys(_SPATIAL_DROPOUT, ("noise_shape", "trainable")),
}
"""Arguments that Keras 3 does not know, by class of layer. Whatever their value is, they never change a score."""

_NEW_FUNCTIONAL = "keras.src.models.functional"
_INNER_MODULES = {"Sequential": "keras", "Functional": _NEW_FUNCTIONAL, "Model": _NEW_FUNCTIONAL}
"""The module of each class of networks inside a wrapper such as TimeDistributed, for files that do not name it."""
_FUNCTIONAL = ".engine.functional"
"""The end of the module of functional networks in Keras 2: keras.engine, keras.src.engine or tf_keras.src.engine."""


def rewrite(config: dict[str, Any]) -> None:
    """Change the description in place. Raises RefusedModel for a layer that Keras 3 would compute differently."""
    for node in _nodes(config):
        if node.get("class_name") == "Sequential" and isinstance(node.get("config"), list):  # before Keras 2.2.3
            node["config"] = {"name": node.get("name", "sequential"), "layers": node["config"]}
        if node.get("class_name") in ("Functional", "Model") and str(node.get("module", "")).endswith(_FUNCTIONAL):
            node["module"] = _NEW_FUNCTIONAL
        settings = node.get("config")
        if isinstance(settings, dict) and isinstance(node.get("class_name"), str):
            _rewrite_layer(node["class_name"], settings)
        if isinstance(node.get("layers"), list):
            _renumber_calls(node)
    _rename_layers_with_slash(config)


def _rewrite_layer(kind: str, settings: dict[str, Any]) -> None:
    for name in [name for name in settings if str(name).endswith(_ONLY_FOR_TRAINING)]:
        del settings[name]
    for name in _UNUSED.get(kind, ()):
        settings.pop(name, None)
    name, neutral = _EFFECTLESS.get(kind, ("", None))
    if settings.pop(name, neutral) != neutral:
        raise RefusedModel(
            f"{_layer_text(settings)} ({kind}) has a value of `{name}` that Keras 3 does not support. "
            "Ask the author of the model for a network without it."
        )
    for inner in (settings.get("layer"), settings.get("backward_layer")):
        if isinstance(inner, dict) and "class_name" in inner:
            inner.setdefault("module", _INNER_MODULES.get(str(inner["class_name"]), "keras.layers"))
    _use_defaults(kind, settings)
    _require_same_activation(settings)


def _use_defaults(kind: str, settings: dict[str, Any]) -> None:
    """Write some settings in the form of Keras 3: policy, axis, slope, score mode of attention, shape of the input."""
    policy = settings.get("dtype")
    if isinstance(policy, dict) and isinstance(policy.get("config"), dict):
        settings["dtype"] = policy["config"].get("name")
    axis = settings.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
    if kind == "LeakyReLU" and "alpha" in settings:
        settings["negative_slope"] = settings.pop("alpha")
    if kind == "Attention" and settings.get("score_mode") == "dot":
        del settings["score_mode"]  # the default, which Keras 3 takes for the name of a function
    shape = settings.get("batch_input_shape")
    if kind != "InputLayer" and isinstance(shape, list):
        del settings["batch_input_shape"]
        settings["input_shape"] = shape[1:]


def _require_same_activation(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if str(name).endswith("activation") and "hard_sigmoid" in (value, _config_of(value)):
            raise RefusedModel(
                f"{_layer_text(settings)} has the activation hard_sigmoid, which is 0.2 x + 0.5 in Keras 2 and "
                "x / 6 + 0.5 in Keras 3: the scores would differ. "
                "Ask the author of the model to train the network with Keras 3."
            )


def _config_of(value: object) -> object:
    return value.get("config") if isinstance(value, dict) else None


def _renumber_calls(network: dict[str, Any]) -> None:
    """Count the calls of a nested model from 0, as Keras 3 does. Keras 2 counts from 1 if it has an input layer.

    In the outputs of the outer network, only the calls of sequential models are changed here: Keras 3 changes the calls
    of other models itself.
    """
    inner = {layer["name"]: layer for layer in network["layers"] if _has_input_layer(layer)}
    calls = [call for layer in network["layers"] for call in _calls(layer)]
    sequential = {name for name, layer in inner.items() if layer["class_name"] == "Sequential"}
    for call, names in [*((call, inner) for call in calls), *((call, sequential) for call in _outputs(network))]:
        if call[0] in names and call[1] > 0:
            call[1] -= 1


def _has_input_layer(layer: Any) -> bool:
    """Return whether this layer is a network that begins with an input layer."""
    if not isinstance(layer, dict) or not isinstance(layer.get("name"), str):
        return False
    if not isinstance(layer.get("class_name"), str) or layer["class_name"] not in MODELS:
        return False
    settings = layer.get("config")
    layers = settings.get("layers") if isinstance(settings, dict) else settings  # a list before Keras 2.2.3
    first = layers[0] if isinstance(layers, list) and layers else None
    return isinstance(first, dict) and first.get("class_name") == "InputLayer"


def _calls(layer: Any) -> list[Any]:
    """Return the references of a layer to its inputs. Each one is a list: name, number of the call, further values."""
    nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    return [call for node in _list(nodes) for call in _list(node) if _is_call(call)]


def _outputs(network: dict[str, Any]) -> list[Any]:
    outputs = network.get("output_layers")
    return [call for call in (outputs, *_list(outputs)) if _is_call(call)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_call(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and isinstance(value[0], str) and isinstance(value[1], int)


def _rename_layers_with_slash(config: dict[str, Any]) -> None:
    """Replace `/` in the names of layers, which Keras 3 refuses. Weights are found by their order, not by name."""
    names = {str(node["name"]) for node in _nodes(config) if isinstance(node.get("name"), str)}
    renamed: dict[str, str] = {}
    for name in sorted(name for name in names if "/" in name):
        other = name.replace("/", "_")
        while other in names:
            other += "_"
        names.add(other)
        renamed[name] = other
    if renamed:
        _replace_texts(config, renamed)


def _replace_texts(config: dict[str, Any], texts: dict[str, str]) -> None:
    for container in _containers(config):
        pairs = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in list(pairs):
            if isinstance(value, str) and value in texts:
                container[key] = texts[value]


def _nodes(config: object) -> Iterator[dict[str, Any]]:
    return (container for container in _containers(config) if isinstance(container, dict))


def _containers(config: Any) -> Iterator[Any]:
    """Yield every object and list of the description, without recursion, because the file determines the depth."""
    waiting = [config]
    while waiting:
        container = waiting.pop()
        yield container
        values = container.values() if isinstance(container, dict) else cast("list[Any]", container)
        waiting += [value for value in values if isinstance(value, dict | list)]


def _layer_text(settings: dict[str, Any]) -> str:
    return f"The layer {printable(str(settings.get('name', ''))[:60])}"
