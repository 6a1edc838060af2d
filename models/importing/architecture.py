"""Check the description of a foreign network part by part, before Keras creates any object from it.

Keras' `safe_mode` is not enough: it did not apply to `.h5` files (CVE-2025-9905), modules were imported by name
(CVE-2025-1550), and lookup layers read files while they are loaded (CVE-2025-12058). This check accepts only parts that
are known to be harmless.
"""

from collections.abc import Collection
from typing import Any

from models.importing.allowed import ACTIVATIONS, BY_MODULE, MODELS, POLICIES, STRINGS, WITHOUT_MODULE
from models.importing.description import MAX_NODES
from models.importing.errors import RefusedModel

_DEPTH = 100
_REASONS = {
    "Lambda": "it holds program code, which would run with your rights",
    "__lambda__": "it holds program code, which would run with your rights",
    "TFSMLayer": "it runs a saved TensorFlow graph, which may do anything",
    "TorchModuleWrapper": "it unpickles a PyTorch module, which may do anything",
    "JaxLayer": "it calls a function of its author, which would run with your rights",
    "FlaxLayer": "it calls a function of its author, which would run with your rights",
    "StringLookup": "it may read any file while it is loaded (CVE-2025-12058)",
    "IntegerLookup": "it may read any file while it is loaded (CVE-2025-12058)",
    "TextVectorization": "it may read any file while it is loaded (CVE-2025-12058)",
    "TFOpLambda": "it names a TensorFlow function, which Keras 3 does not load",
    "SlicingOpLambda": "it names a TensorFlow function, which Keras 3 does not load",
}
_REMEDY = (
    "Ask the author of the model to rebuild the network from Keras' own layers (Rescaling, Normalization, Resizing, "
    "Activation ...) with the same weights, and to save it as .keras."
)


def check_architecture(config: object) -> None:
    """Raise RefusedModel, with the name of the layer, if any part is not in models.importing.allowed."""
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict | list):
        raise RefusedModel(
            "The file does not describe a Keras network. Ask the author of the model to save the network again."
        )
    if not _is_in(config.get("class_name"), MODELS):
        raise RefusedModel(
            f"The network is of a class that is not part of Keras ({_short(config.get('class_name'))}), so loading it "
            f"would run its author's code. {_REMEDY}"
        )
    # The outer compile_config is harmless: with compile=False Keras does not read loss and optimizer.
    _walk({name: value for name, value in config.items() if name != "compile_config"})


def last_activation(config: dict[str, Any]) -> str | None:
    """Return the activation of the last layer: `softmax`, `sigmoid`, `linear` ...; None if it has no activation."""
    inner = config["config"]
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    last = layers[-1] if isinstance(layers, list) and layers else None
    if not isinstance(last, dict):
        return None
    if _is_in(last.get("class_name"), MODELS):
        return last_activation(last) if isinstance(last.get("config"), dict | list) else None
    if last.get("class_name") == "Softmax":
        return "softmax"
    named = last["config"].get("activation") if isinstance(last.get("config"), dict) else None
    if isinstance(named, dict):
        named = named.get("config")
    return named if isinstance(named, str) else None


def printable(text: str) -> str:
    """Replace unprintable characters by `?`, so that foreign text cannot control the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _walk(root: object) -> None:
    """Check all nodes, without recursion, because the file determines the depth."""
    waiting: list[tuple[object, str, int]] = [(root, "", 0)]
    seen = 0
    while waiting:
        node, layer, depth = waiting.pop()
        seen += 1
        if depth > _DEPTH or seen > MAX_NODES:
            raise RefusedModel(
                "The file's description of the network is deeper or longer than that of any real network. "
                f"Ask the author of the model for another file: at most {_DEPTH} levels and {MAX_NODES:,} nodes are "
                "accepted."
            )
        if isinstance(node, list):
            waiting += [(item, layer, depth + 1) for item in node]
        elif isinstance(node, dict):
            if "class_name" in node or "registered_name" in node or "module" in node:
                layer = _name(node) or layer
                _check_class(node, layer)
            _check_strings(node, layer)
            waiting += [(value, layer, depth + 1) for value in node.values()]


def _check_class(node: dict[str, Any], layer: str) -> None:
    name, module, registered = node.get("class_name"), node.get("module"), node.get("registered_name")
    allowed: Collection[str] = ()
    if module is None or isinstance(module, str):
        allowed = WITHOUT_MODULE if module is None else BY_MODULE.get(module, ())
    if not _is_in(name, allowed):
        raise _refused(layer, name, module)
    if name == "function":
        if not _is_in(node.get("config"), ACTIVATIONS) or registered not in (None, "function", node["config"]):
            raise _refused(layer, node.get("config"), module)
    elif registered not in (None, name):
        raise _refused(layer, registered, module)
    if node.get("compile_config"):
        raise RefusedModel(
            f"{_layer_text(layer)} is a nested model with a loss and an optimizer. "
            "Ask the author of the model to build the network without compiling the nested model, and to save it again."
        )


def _check_strings(node: dict[str, Any], layer: str) -> None:
    for field, value in node.items():
        if not isinstance(field, str):
            raise RefusedModel(
                "The file's description of the network is not a JSON object. "
                "Ask the author of the model to save the network again."
            )
        known = STRINGS.get(field.rpartition("_")[2])
        if known is not None and isinstance(value, str) and value not in known:
            raise RefusedModel(f"{_layer_text(layer)} has an unknown {field}: {_short(value)}. {_REMEDY}")


def _refused(layer: str, name: object, module: object) -> RefusedModel:
    kind = _short(name) if module is None or module == "keras.layers" else f"{_short(module)}.{_short(name)}"
    why = _REASONS.get(name, "") if isinstance(name, str) else ""
    why = why or "it is not on the list of harmless parts of Keras, so loading it could run foreign code"
    return RefusedModel(f"{_layer_text(layer)} ({kind}) is refused: {why}. {_REMEDY}")


def _layer_text(layer: str) -> str:
    return f"The layer {layer}" if layer else "A part of the network"


def _name(node: dict[str, Any]) -> str:
    inner = node.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    # Data type policies have names, too; but only the name of a layer or network helps a person to find the place.
    if _is_in(node.get("class_name"), POLICIES) or not isinstance(name, str):
        return ""
    return _short(name)


def _is_in(value: object, names: Collection[str]) -> bool:
    """Return whether the value is one of the names; False if it is a list or an object."""
    return isinstance(value, str) and value in names


def _short(value: object) -> str:
    return printable(str(value)[:60])
