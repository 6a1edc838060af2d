"""Mutate ONNX graphs in places where a program could trust them: shapes, types, names, operators, attributes."""

import random
from collections.abc import Callable
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto

_NUMBERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 2**20, 2**31, 2**40, 2**62)
_OPERATORS = ("Loop", "If", "Scan", "Evil", "RandomUniform", "Softmax", "Reshape", "Cast", "Transpose", "", "\x1b[2J")
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "theirs", "\u202e")
_NAMES = ("input.1", "output", "logits", "images", "scores", "", "\x1b[31m", "n" * 3000, "/conv1", "fc.weight")


def mutated_graph(data: bytes, rng: random.Random) -> bytes:
    """Change one to five places of a model and return its bytes."""
    model = ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        rng.choice(_CHANGES)(model, rng)
    return bytes(model.SerializeToString())


def _node(model: Any, rng: random.Random) -> Any:
    return rng.choice(list(model.graph.node) or [NodeProto()])


def _tensor(model: Any, rng: random.Random) -> Any:
    return rng.choice(list(model.graph.initializer) or [TensorProto()])


def _port(model: Any, rng: random.Random) -> Any:
    ports = [*model.graph.input, *model.graph.output]
    return rng.choice(ports or [model.graph.value_info.add()])


def _operator(model: Any, rng: random.Random) -> None:
    _node(model, rng).op_type = rng.choice(_OPERATORS)


def _domain(model: Any, rng: random.Random) -> None:
    _node(model, rng).domain = rng.choice(_DOMAINS)


def _wires(model: Any, rng: random.Random) -> None:
    node = _node(model, rng)
    names = node.input if rng.random() < 0.5 else node.output
    names[:] = rng.sample([*names, *_NAMES], rng.randrange(4))


def _order(model: Any, rng: random.Random) -> None:
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    rng.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _attribute(model: Any, rng: random.Random) -> None:
    inside = model.graph.SerializeToString()  # before: a message cannot be copied into itself
    attribute = _node(model, rng).attribute.add(name=rng.choice(("axis", "perm", "training_mode", "body", "value")))
    choice = rng.randrange(5)
    attribute.type = rng.randrange(12)
    if choice == 0:
        attribute.i = rng.choice(_NUMBERS)
    elif choice == 1:
        attribute.ints.extend(rng.choices(_NUMBERS, k=3))
    elif choice == 2:
        attribute.g.MergeFromString(inside)
    elif choice == 3:
        attribute.t.CopyFrom(_tensor(model, rng))
    else:
        attribute.sparse_tensors.add()


def _shape_of_weights(model: Any, rng: random.Random) -> None:
    _tensor(model, rng).dims[:] = rng.choices(_NUMBERS, k=rng.randrange(6))


def _type_of_weights(model: Any, rng: random.Random) -> None:
    _tensor(model, rng).data_type = rng.choice((0, *range(1, 27), 99, 2**31 - 1))


def _place_of_weights(model: Any, rng: random.Random) -> None:
    tensor = _tensor(model, rng)
    tensor.data_location = rng.choice((0, 1))
    tensor.external_data.add(key="location", value=rng.choice(("/etc/passwd", "../weights", "")))


def _values_of_weights(model: Any, rng: random.Random) -> None:
    tensor = _tensor(model, rng)
    tensor.ClearField("raw_data")
    rng.choice((tensor.float_data, tensor.double_data)).extend([float("nan"), 1e39] * rng.randrange(3))
    tensor.int32_data.extend([-(2**31), 2**31 - 1] * rng.randrange(3))


def _declared(model: Any, rng: random.Random) -> None:
    kind = _port(model, rng).type
    kind.tensor_type.elem_type = rng.choice((0, *range(1, 27), 99))
    sizes = kind.tensor_type.shape.dim
    for _ in range(rng.randrange(3)):
        sizes.add(dim_value=rng.choice(_NUMBERS))
    for size in sizes:
        if rng.random() < 0.2:
            size.dim_param = rng.choice(_NAMES)


def _other_kind(model: Any, rng: random.Random) -> None:
    _port(model, rng).type.sequence_type.elem_type.tensor_type.elem_type = 1


def _versions(model: Any, rng: random.Random) -> None:
    model.opset_import.add(domain=rng.choice(_DOMAINS), version=rng.choice(_NUMBERS))
    model.ir_version = rng.choice(_NUMBERS)


_CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    _operator,
    _domain,
    _wires,
    _order,
    _attribute,
    _shape_of_weights,
    _type_of_weights,
    _place_of_weights,
    _values_of_weights,
    _declared,
    _other_kind,
    _versions,
)
