"""Make small ONNX files without Keras: the mean of each channel, one dense layer, and an activation."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def save_mean_network(
    path: Path,
    shape: tuple[int, int, int],
    labels: int,
    *,
    layout: str = "NHWC",
    activation: str | None = "Softmax",
    batch: int | str = "n",
    domain: str = "",
) -> None:
    """Write a network for images of (height, width, channels). Its weights are 1 for equal indices, 2 at the last."""
    height, width, channels = shape
    size = [height, width, channels] if layout == "NHWC" else [channels, height, width]
    weights = np.eye(channels, labels, dtype=np.float32)
    weights[:, -1] += 2
    last = "logits" if activation else "scores"
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[1, 2] if layout == "NHWC" else [2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], [last]),
    ]
    if activation:
        nodes.append(helper.make_node(activation, ["logits"], ["scores"], domain=domain))
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, *size])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, labels])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", OPSET), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
