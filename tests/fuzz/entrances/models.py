"""Bundles and foreign networks: bundle.json, the description of a network, and the archive around it."""

import io
import json
import random
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from foreign_graphs import torch_net, value
from onnx import TensorProto, helper

from fuzz.entrances.entrance import Entrance, require_shown_safely
from fuzz.entrances.folder import folder
from fuzz.entrances.mutations import mutated_bytes, mutated_json
from fuzz.graph_mutations import mutated_graph
from models.bundle import CARD_FILE, KERAS_FILE, NETWORK_FILES, Bundle, _digest, _from_card, _sha256, load_bundle
from models.importing.architecture import check_architecture, last_activation
from models.importing.errors import RefusedModel
from models.importing.foreign import GRAPH, detect_format, inspect
from models.importing.graph_options import GraphOptions
from models.importing.graphs.convert import prepare_graph
from models.importing.graphs.inspection import bad_weights
from nightread.errors import StopWork

_ROOT = Path(__file__).parents[3]


@cache
def _cards() -> tuple[Any, ...]:
    return tuple(json.loads(path.read_text()) for path in sorted((_ROOT / "models/bundles").glob(f"*/{CARD_FILE}")))


def _enter_bundle(data: bytes) -> str:
    """Load a bundle, and again with the digest that its author could have written."""
    place = folder()
    for file in NETWORK_FILES.values():
        (place / file).write_bytes(b"weights")
    (place / CARD_FILE).write_bytes(data)
    outcome = _loaded(place)
    if "digest" not in outcome:
        return outcome
    card = json.loads(data)
    card["files"] = {file: _sha256(place / file) for file in card.get("files", [KERAS_FILE])}
    card["digest"] = _digest(_from_card(card, place), card["files"])
    (place / CARD_FILE).write_text(json.dumps(card))
    return _loaded(place)


def _loaded(place: Path) -> str:
    try:
        bundle = load_bundle(place)
    except StopWork as problem:
        return "wrong digest" if "wrong digest" in str(problem) else "refused"
    _use(bundle)
    return "loaded"


def _use(bundle: Bundle) -> None:
    """Check what results depend on."""
    json.dumps(bundle.to_json(), allow_nan=False)
    assert bundle.labels
    assert bundle.spec.height * bundle.spec.width * bundle.spec.channels > 0


_CONFIG = {
    "module": "keras",
    "class_name": "Functional",
    "registered_name": "Functional",
    "config": {
        "name": "net",
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": {"batch_shape": [None, 8, 8, 1], "name": "in"},
                "registered_name": None,
            },
            {
                "module": "keras.layers",
                "class_name": "Dense",
                "config": {
                    "units": 2,
                    "activation": "softmax",
                    "name": "out",
                    "kernel_initializer": {
                        "module": "keras.initializers",
                        "class_name": "HeNormal",
                        "config": {},
                        "registered_name": None,
                    },
                },
                "registered_name": None,
            },
        ],
        "input_layers": [["in", 0, 0]],
        "output_layers": [["out", 0, 0]],
    },
}


def _enter_network(data: bytes) -> str:
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        return "no JSON"
    try:
        check_architecture(config)
        last_activation(config)
    except RefusedModel as refused:
        require_shown_safely(refused)
        return "refused"
    return "accepted"


@cache
def _weights() -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("layers/out/vars/0", data=np.ones((8, 2), np.float32))
    return content.getvalue()


def _make_keras_file(rng: random.Random) -> bytes:
    """Return an archive with a mutated description, or mutate an archive; zip checksums protect the weights."""
    config = mutated_json(_CONFIG, rng) if rng.random() < 0.5 else json.dumps(_CONFIG).encode()
    metadata = mutated_json({"keras_version": "3.5.0"}, rng) if rng.random() < 0.3 else b'{"keras_version": "2.15.0"}'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in (("config.json", config), ("metadata.json", metadata), ("model.weights.h5", _weights())):
            archive.writestr(zipfile.ZipInfo(name), content)
    return mutated_bytes(buffer.getvalue(), rng) if rng.random() < 0.5 else buffer.getvalue()


def _enter_keras_file(data: bytes) -> str:
    path = folder() / "net.keras"
    path.write_bytes(data)
    try:
        inspect(path)
    except RefusedModel as refused:
        return "damaged" if "damaged" in str(refused) else "refused"
    return "accepted"


@cache
def _graphs() -> tuple[bytes, ...]:
    """Return files of PyTorch and of scikit-learn, with weights so small that changes meet other fields, too."""
    several = torch_net(end="Softmax")
    several.graph.node.append(helper.make_node("ArgMax", ["output"], ["label"], axis=1))
    several.graph.output.append(value("label", ["n"], TensorProto.INT64))
    return tuple(model.SerializeToString() for model in (torch_net(), torch_net(kind=TensorProto.UINT8), several))


def _make_graph(rng: random.Random) -> bytes:
    data = rng.choice(_graphs())
    return mutated_graph(data, rng) if rng.random() < 0.7 else mutated_bytes(data, rng)


def _enter_graph(data: bytes) -> str:
    """Inspect a graph and rewrite its input; the sandbox then runs it, which a trial does not."""
    path = folder() / "net.onnx"
    path.write_bytes(data)
    try:
        if detect_format(path) != GRAPH:
            return "another format"
        made = prepare_graph(path, (16, 16, 1), GraphOptions(activation="softmax", output_name="output"))
        bad_weights(made.rewriter.model.graph)
    except RefusedModel as refused:
        require_shown_safely(refused)
        return "damaged" if "damaged" in str(refused) else "refused"
    assert made.rewriter.model.SerializeToString()
    return "accepted"


ENTRANCES = (
    Entrance("bundles", lambda rng: mutated_json(rng.choice(_cards()), rng), _enter_bundle),
    Entrance("descriptions of networks", lambda rng: mutated_json(_CONFIG, rng), _enter_network),
    Entrance("Keras files", _make_keras_file, _enter_keras_file),
    Entrance("ONNX files", _make_graph, _enter_graph),
)
