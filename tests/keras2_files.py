"""Change a file that Keras 3 saved to what Keras 2 wrote for the same network."""

import json
from pathlib import Path
from typing import Any

import h5py

_CONVOLUTIONS = ("Conv", "DepthwiseConv", "SeparableConv")
_KERNEL = {"kernel_initializer": None, "kernel_regularizer": None, "kernel_constraint": None}


def rewrite_as_keras_2(path: Path, *, version: str = "2.4.0", entries: dict[str, dict[str, Any]] | None = None) -> None:
    """Rewrite the description in an `.h5` file. `entries` are further arguments, by the class of the layer.

    The text `_slash_` in a name becomes a slash, which Keras 2 allowed.
    """
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(_network(config, entries or {})).replace("_slash_", "/")
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"


def _network(network: dict[str, Any], entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    settings = network["config"]
    inner = {layer["config"]["name"] for layer in settings["layers"] if "layers" in layer["config"]}
    written = {key: settings[key] for key in ("name", "trainable", "input_layers", "output_layers") if key in settings}
    for key in {"input_layers", "output_layers"} & set(written):
        calls = written[key] if isinstance(written[key][0], list) else [written[key]]
        written[key] = [[name, call + (name in inner), tensor] for name, call, tensor in calls]
    written["layers"] = [_layer(layer, inner, entries) for layer in settings["layers"]]
    return {"class_name": network["class_name"], "config": written}


def _layer(layer: dict[str, Any], inner: set[str], entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    kind, settings = layer["class_name"], layer["config"]
    written = _network(layer, entries) if "layers" in settings else {"class_name": kind, "config": _settings(layer)}
    written["config"] |= entries.get(kind, {})
    if "inbound_nodes" in layer:
        written["name"] = layer["name"]
        written["inbound_nodes"] = [_node(node, inner) for node in layer["inbound_nodes"]]
    return written


def _settings(layer: dict[str, Any]) -> dict[str, Any]:
    kind, settings = layer["class_name"], {name: _plain(value) for name, value in layer["config"].items()}
    if isinstance(settings.get("dtype"), dict):
        settings["dtype"] = settings["dtype"]["config"]["name"]
    if kind.startswith(_CONVOLUTIONS):
        settings["groups"] = 1
    if kind.startswith("SeparableConv"):
        settings |= _KERNEL
    if kind == "BatchNormalization":
        settings["axis"] = [3]
    if kind == "InputLayer":
        settings["batch_input_shape"] = settings.pop("batch_shape")
        settings.pop("optional", None)
    return settings


def _plain(value: Any) -> Any:
    """Return an object without the module and the registered name, which Keras 2.4 did not write."""
    if not isinstance(value, dict) or "registered_name" not in value:
        return value
    return {"class_name": value["class_name"], "config": {key: _plain(one) for key, one in value["config"].items()}}


def _node(node: dict[str, Any], inner: set[str]) -> list[Any]:
    """Return the inputs of one call of a layer. Keras 2 counted the calls of a nested model from 1."""
    arguments = node["args"][0] if isinstance(node["args"][0], list) else node["args"]
    calls = [argument["config"]["keras_history"] for argument in arguments]
    return [[name, call + (name in inner), tensor, {}] for name, call, tensor in calls]
