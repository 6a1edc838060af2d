"""Hostile parts in .h5 files as in .keras files, and many mutations of honest descriptions."""

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from models.importing.architecture import check_architecture
from models.importing.errors import RefusedModel
from models.importing.foreign import inspect as inspect_file
from models.importing.keras2 import rewrite

HONEST: dict[str, Any] = {
    "class_name": "Functional",
    "module": "keras.src.models.functional",
    "registered_name": "Functional",
    "config": {
        "name": "net",
        "layers": [
            {
                "class_name": "InputLayer",
                "module": "keras.layers",
                "config": {"name": "input", "batch_shape": [None, 8, 8, 1], "dtype": "float32"},
                "inbound_nodes": [],
            },
            {
                "class_name": "Conv2D",
                "module": "keras.layers",
                "registered_name": None,
                "config": {
                    "name": "conv",
                    "filters": 2,
                    "activation": "relu",
                    "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
                    "kernel_initializer": {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {}},
                    "kernel_constraint": None,
                },
                "inbound_nodes": [[["input", 0, 0, {}]]],
            },
            {
                "class_name": "TimeDistributed",
                "module": "keras.layers",
                "config": {
                    "name": "each",
                    "layer": {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense", "units": 2}},
                },
                "inbound_nodes": [
                    {"args": [{"class_name": "__keras_tensor__", "config": {"shape": [1]}}], "kwargs": {}}
                ],
            },
        ],
        "input_layers": [["input", 0, 0]],
        "output_layers": [["each", 0, 0]],
    },
}

LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
HOSTILE: tuple[dict[str, Any], ...] = (
    {"class_name": "Lambda", "config": {"name": "x", "function": ["4wEAAAA=", None, None], "function_type": "lambda"}},
    {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "x", "function": LAMBDA}},
    LAMBDA,
    {"class_name": "Attack", "config": {"name": "x"}},
    {"class_name": "Attack", "module": "attacker", "registered_name": "package>Attack", "config": {"name": "x"}},
    {"class_name": "Dense", "module": "keras.layers", "registered_name": "package>Dense", "config": {"name": "x"}},
    {"class_name": "Dense", "module": "os", "config": {"name": "x"}},
    {"class_name": "function", "module": "builtins", "config": "eval", "registered_name": "function"},
    {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"},
    {"class_name": "system", "module": "os", "config": "true"},
    {"class_name": "run", "module": "subprocess", "config": {"args": ["true"]}},
    {"class_name": "load_model", "module": "keras.saving", "config": {"filepath": "/etc/passwd"}},
    {"class_name": "get_file", "module": "keras.utils", "config": {"origin": "http://127.0.0.1/"}},
    {"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "/srv/graph"}},
    {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {"module": "gASVAA=="}},
    {"class_name": "StringLookup", "module": "keras.layers", "config": {"vocabulary": "/etc/passwd"}},
    {"class_name": "TFOpLambda", "config": {"function": "io.read_file", "name": "x"}},
    {"class_name": ["Lambda"], "module": "keras.layers", "config": {}},
    {"class_name": "Dense", "module": ["keras.layers"], "config": {}},
    {"class_name": "Lambda"},
    {"module": "os", "config": {}},
    {"registered_name": "package>Attack"},
)


def legacy(path: Path, config: object, fill: Callable[[h5py.File], object] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "3.15.0"
        (fill or (lambda opened: opened.create_dataset("w", data=np.ones(8))))(file)
    return path


def archive(path: Path, config: object, fill: Callable[[h5py.File], object] | None = None) -> Path:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        (fill or (lambda opened: opened.create_dataset("w", data=np.ones(8))))(file)
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("config.json", json.dumps(config))
        members.writestr("model.weights.h5", weights.getvalue())
    return path


BOTH = pytest.mark.parametrize("write", [legacy, archive])


@BOTH
def test_the_honest_description_is_accepted(tmp_path: Path, write: Callable[..., Path]) -> None:
    """The attacks below differ from it in one part."""
    assert inspect_file(write(tmp_path / "net", HONEST)).weights_bytes == 64


@BOTH
@pytest.mark.parametrize("part", HOSTILE, ids=lambda part: json.dumps(part)[:60])
def test_a_hostile_part_is_refused(tmp_path: Path, write: Callable[..., Path], part: dict[str, Any]) -> None:
    """As a layer, inside a wrapper, as initializer, as activation, and as argument of a call."""
    for place in (
        ("layers",),
        ("layers", 2, "config", "layer"),
        ("layers", 1, "config", "kernel_initializer"),
        ("layers", 1, "config", "activation"),
        ("layers", 2, "inbound_nodes", 0, "args"),
    ):
        config = copy.deepcopy(HONEST)
        container: Any = config["config"]
        for step in place[:-1]:
            container = container[step]
        if isinstance(container[place[-1]], list):
            container[place[-1]].append(part)
        else:
            container[place[-1]] = part
        with pytest.raises(RefusedModel):
            inspect_file(write(tmp_path / "net", config))


def _reference(file: h5py.File) -> None:
    file.create_dataset("target", data=np.ones(8))
    file.create_dataset("w", (1,), h5py.ref_dtype)[0] = file["target"].ref


def _region(file: h5py.File) -> None:
    target = file.create_dataset("target", data=np.ones(8))
    file.create_dataset("w", (1,), h5py.regionref_dtype)[0] = target.regionref[0:4]


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "/", (4,))
    file.create_virtual_dataset("w", layout)


def _hidden_link(file: h5py.File) -> None:
    file.create_group("a/b/c")["w"] = h5py.ExternalLink("/etc/passwd", "/")


@BOTH
@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: file.__setitem__("w", h5py.ExternalLink("/etc/passwd", "/")), "is a link"),
        (lambda file: file.__setitem__("w", h5py.SoftLink("/gone")), "is a link"),
        (_hidden_link, "is a link"),
        (lambda file: file.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)]), "another file"),
        (_virtual, "another file"),
        (_reference, "references or records"),
        (_region, "references or records"),
        (lambda file: file.create_dataset("w", (1,), h5py.vlen_dtype("f4")), "references or records"),
        (lambda file: file.create_dataset("w", (1,), [("a", "f4"), ("b", "f4")]), "references or records"),
        (lambda file: file.__setitem__("w", np.dtype("f4")), "neither a group nor numbers"),
        (lambda file: file.create_dataset("w", (10**12,), "f4"), "decompression bomb"),
        (lambda file: file.create_dataset("w", (1,), "f4", chunks=(10**8,), maxshape=(None,)), "decompression bomb"),
        (lambda file: file.create_group("w").__setitem__("loop", file), "deeper"),
    ],
)
def test_hostile_contents_of_hdf5_are_refused(
    tmp_path: Path, write: Callable[..., Path], fill: Callable[[h5py.File], object], message: str
) -> None:
    """Nothing leads to other files, nothing grows, and only numbers are read."""
    with pytest.raises(RefusedModel, match=message):
        inspect_file(write(tmp_path / "net", HONEST, fill))


def _containers(node: object) -> Iterator[dict[str, Any] | list[Any]]:
    if isinstance(node, dict | list):
        yield node
        for value in list(node.values()) if isinstance(node, dict) else list(node):
            yield from _containers(value)


def _any_key(chance: random.Random, container: Any) -> Any:
    return chance.choice(list(container) if isinstance(container, dict) else range(len(container)))


def _put(chance: random.Random, container: dict[str, Any] | list[Any], value: object) -> None:
    if isinstance(container, list):
        container.insert(chance.randint(0, len(container)), value)
    else:
        container[chance.choice([*container, "extra"])] = value


def test_a_hostile_part_is_refused_wherever_it_is_put() -> None:
    """4,000 places, from a fixed seed; the description is once rewritten as one of Keras 2, and once not."""
    chance = random.Random(13)
    for number in range(4000):
        config = copy.deepcopy(HONEST)
        containers = list(_containers(config["config"]))
        _put(chance, chance.choice(containers), copy.deepcopy(chance.choice(HOSTILE)))
        if number % 2:
            _require_refusal_or_removal(config)
            continue
        with pytest.raises(RefusedModel):
            check_architecture(config)


def _require_refusal_or_removal(config: dict[str, Any]) -> None:
    """The rewriting of Keras 2 removes arguments without effect, and with them the hostile part."""
    try:
        rewrite(config)
        check_architecture(config)
    except RefusedModel:
        return
    remaining = [part for part in _containers(config) if any(part == hostile for hostile in HOSTILE)]
    assert not remaining


def test_damaged_descriptions_are_accepted_or_refused_and_nothing_else() -> None:
    """4,000 descriptions with one to six random changes, from a fixed seed, end without any other error."""
    chance = random.Random(31)
    values: tuple[Any, ...] = (
        None,
        True,
        -1,
        10**400,
        1.5,
        "",
        "Lambda",
        "/",
        "é",
        [],
        {},
        [[]],
        {"class_name": 1},
        ["relu", 0, 0, {}],
    )
    outcomes = {"accepted": 0, "refused": 0}
    for number in range(4000):
        config = copy.deepcopy(HONEST)
        for _ in range(chance.randint(1, 6)):
            container: Any = chance.choice(list(_containers(config)))
            if chance.random() < 0.3 and container:
                del container[_any_key(chance, container)]
            else:
                _put(chance, container, copy.deepcopy(chance.choice(values)))
        try:
            _check(config, of_keras_2=bool(number % 2))
            outcomes["accepted"] += 1
        except RefusedModel:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100


def _check(config: dict[str, Any], *, of_keras_2: bool) -> None:
    if of_keras_2:
        rewrite(config)
    check_architecture(config)
