"""Write the benchmark's network as an ONNX model."""

from typing import Any

import numpy as np

from benchmarks.gpu.network import Convolution, Layers

_OPSET = 17
_IR_VERSION = 8


def model_bytes(layers: Layers, precision: str) -> bytes:
    """Return the model: frames (n, rows, columns, 1) float32 -> scores (n, labels) float32.

    Raises ValueError for bfloat16, which ONNX Runtime supports for few operators only.
    """
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"float32": (np.float32, TensorProto.FLOAT), "float16": (np.float16, TensorProto.FLOAT16)}
    if precision not in kinds:
        raise ValueError(f"ONNX Runtime has no convolution in {precision}")
    numpy_kind, onnx_kind = kinds[precision]
    nodes: list[Any] = []
    constants: list[Any] = []

    def add(operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"v{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), f"c{len(constants)}"))
        return constants[-1].name

    def convolve(values: str, layer: Convolution) -> str:
        weights = constant(layer.weights.transpose(3, 2, 0, 1).astype(numpy_kind))
        before, after = layer.padding
        sides = [before, before, after, after]
        return add("Conv", values, weights, strides=[layer.stride] * 2, pads=sides)

    values = add("Cast", add("Transpose", "frames", perm=[0, 3, 1, 2]), to=onnx_kind)
    values = add("Relu", convolve(values, layers.stem))
    values = add("MaxPool", values, kernel_shape=[2, 2], strides=[2, 2])
    for block in layers.blocks:
        branch = convolve(add("Relu", convolve(values, block.first)), block.second)
        values = add("Relu", add("Add", branch, convolve(values, block.short_cut) if block.short_cut else values))
    mean = add("Flatten", add("Cast", add("GlobalAveragePool", values), to=TensorProto.FLOAT))
    add("Softmax", add("MatMul", mean, constant(layers.dense)), output="scores", axis=-1)
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["n", None, None, 1])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", layers.dense.shape[1]])
    graph = helper.make_graph(nodes, "benchmark", [frames], [scores], constants)
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION).SerializeToString()
