"""Exporting a network as ONNX gives the same bytes, whatever the exporter's names and orders are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.runtimes.onnx_export import export_onnx


class _Network:
    """A network that the exporter writes with its weights in the given order."""

    def __init__(self, order: Sequence[int], prefix: str) -> None:
        self._order, self._prefix = order, prefix

    def export(self, path: Path, **_: Any) -> None:
        """Write images x first + second + third."""
        values = [np.eye(2, dtype=np.float32), np.float32([1, 2]), np.float32([3, 4])]
        weights = [numpy_helper.from_array(value, f"{self._prefix}{n}") for n, value in enumerate(values)]
        steps = ["MatMul", "Add", "Add"]
        between = ["x", f"{self._prefix}a", f"{self._prefix}b", "y"]
        nodes = [
            helper.make_node(step, [between[n], weights[n].name], [between[n + 1]], name=f"{self._prefix}{step}{n}")
            for n, step in enumerate(steps)
        ]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy"]
        graph = helper.make_graph(nodes, self._prefix, ends[:1], ends[1:], [weights[n] for n in self._order])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=["first", "reversed", "turned"])
def test_the_order_of_the_weights_does_not_change_the_file(order: Sequence[int], tmp_path: Path) -> None:
    """Tf2onnx writes the weights of a network in another order in each call."""
    files = [tmp_path / "reference.onnx", tmp_path / "other.onnx"]
    export_onnx(_Network((0, 1, 2), "one"), files[0], (2,))
    export_onnx(_Network(order, "another"), files[1], (2,))
    assert files[0].read_bytes() == files[1].read_bytes()
    weights = [numpy_helper.to_array(each).ravel().tolist() for each in onnx.load(files[1]).graph.initializer]
    assert weights == [[1, 0, 0, 1], [1, 2], [3, 4]]
