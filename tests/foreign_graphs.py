"""Write ONNX files as the exporters of PyTorch, Keras and scikit-learn do, with onnx.helper alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from models.runtimes.onnx_library import onnx_runtime

OPSET = 17


def weights(name: str, values: Any, kind: Any = np.float32) -> Any:
    """Return values as weights of a graph."""
    return numpy_helper.from_array(np.asarray(values, kind), name)


def model_of(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    initializers: Sequence[Any] = (),
    *,
    opset: int = OPSET,
    domains: Sequence[str] = (),
) -> Any:
    """Return a model as a ModelProto."""
    graph = helper.make_graph(list(nodes), "main_graph", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(
        graph, producer_name="pytorch", producer_version="2.9.0", opset_imports=opsets, ir_version=8
    )


def value(name: str, shape: Sequence[int | str | None] | None, kind: int = TensorProto.FLOAT) -> Any:
    """Return the description of an input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


def torch_net(
    *,
    side: int = 16,
    channels: int = 1,
    labels: int = 2,
    batch: int | str = "batch_size",
    end: str | None = None,
    kind: int = TensorProto.FLOAT,
) -> Any:
    """Return a small classifier as torch.onnx.export writes it: channels first, logits, names of numbers.

    Two convolutions, global average pooling and a linear layer with weights from a fixed seed. `end` is an activation
    as the last operator, `kind` the type of input and output.
    """
    random = np.random.default_rng(7)
    initializers = [
        weights("conv1.weight", random.normal(0, 0.5, (4, channels, 3, 3))),
        weights("conv1.bias", random.normal(0, 0.1, 4)),
        weights("conv2.weight", random.normal(0, 0.4, (6, 4, 3, 3))),
        weights("conv2.bias", random.normal(0, 0.1, 6)),
        weights("fc.weight", random.normal(0, 1, (labels, 6))),
        weights("fc.bias", random.normal(0, 0.1, labels)),
    ]
    last = "logits" if end else "output"
    image, raw = ("input.1", last) if kind == TensorProto.FLOAT else ("input_float", f"{last}_float")
    nodes = [
        helper.make_node("Conv", [image, "conv1.weight", "conv1.bias"], ["/conv1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["/conv1"], ["/relu1"]),
        helper.make_node("Conv", ["/relu1", "conv2.weight", "conv2.bias"], ["/conv2"], strides=[2, 2]),
        helper.make_node("Relu", ["/conv2"], ["/relu2"]),
        helper.make_node("GlobalAveragePool", ["/relu2"], ["/pool"]),
        helper.make_node("Flatten", ["/pool"], ["/flat"], axis=1),
        helper.make_node("Gemm", ["/flat", "fc.weight", "fc.bias"], [raw], transB=1),
    ]
    if kind != TensorProto.FLOAT:
        nodes.insert(0, helper.make_node("Cast", ["input.1"], [image], to=TensorProto.FLOAT))
        out = TensorProto.FLOAT if kind == TensorProto.UINT8 else kind
        nodes.append(helper.make_node("Cast", [raw], [last], to=out))
    else:
        out = kind
    if end:
        nodes.append(helper.make_node(end, ["logits"], ["output"]))
    return model_of(
        nodes,
        [value("input.1", [batch, channels, side, side], kind)],
        [value("output", [batch, labels], out)],
        initializers,
    )


def train(model: Any, inputs: Any) -> None:
    """Change the last layer of a torch_net() so that the logits of these inputs lie around 0, deviation 0.3."""
    session = onnx_runtime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"input.1": np.asarray(inputs, np.float32)})[0]
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    kernel, bias = (numpy_helper.to_array(tensors[name]) for name in ("fc.weight", "fc.bias"))
    factor = 0.3 / logits.std(axis=0)
    tensors["fc.weight"].CopyFrom(weights("fc.weight", kernel * factor[:, np.newaxis]))
    tensors["fc.bias"].CopyFrom(weights("fc.bias", (bias - logits.mean(axis=0)) * factor))


def save(model: Any, path: Path) -> Path:
    """Write the model to a file."""
    path.write_bytes(model.SerializeToString())
    return path


def author_scores(path: Path, inputs: Any) -> Any:
    """Return what the author's program computes for inputs as the graph takes them, after a softmax if need be."""
    session = onnx_runtime().InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows = np.concatenate([session.run(None, {name: one[np.newaxis]})[0] for one in inputs]).astype(np.float64)
    if rows.min() >= 0 and np.allclose(rows.sum(axis=1), 1):
        return rows
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
