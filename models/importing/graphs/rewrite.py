"""Rewrite an ONNX graph so that it takes images (batch, height, width, channels) and returns scores (batch, labels)."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.importing.errors import RefusedModel
from models.importing.graphs.inspection import opset_of
from models.importing.graphs.operators import MACHINE_LEARNING
from models.importing.graphs.ports import Port, axes
from models.importing.graphs.walk import graphs_of, names_of, nodes_of, used_names
from models.onnx_signature import NCHW
from models.postprocessing import SOFTMAX

Size = tuple[int, int, int]
IMAGES, SCORES = "images", "scores"
"""The names of the input and the output of a converted graph; `_` is added to a name that the graph has already."""
SCAN_OPSET, _ROUND_OPSET = 9, 11
BATCH = "batch"
_UINT8_RANGE = 0, 255


def remove_unused(graph: Any, output: str) -> None:
    """Remove nodes and weights that `output` does not depend on, such as the labels beside the scores."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed |= used_names(node)
            kept.append(node)
    if len(kept) < len(graph.node):
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
        del graph.node[:]
        graph.node.extend(copies)
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in needed:
            del graph.initializer[index]


class Rewriter:
    """A model whose input and output are replaced. Each method that adds operators notes them in `added`."""

    def __init__(self, model: Any) -> None:
        """Take over the model; descriptions and declared shapes are removed, because they may no longer be true."""
        self.model, self.added = model, list[str]()
        self._names = names_of(model.graph)
        self.images, self.scores = self._new(IMAGES), self._new(SCORES)
        domains = {MACHINE_LEARNING if node.domain == MACHINE_LEARNING else "" for node in nodes_of(model.graph)}
        versions = {one.domain: one.version for one in model.opset_import}
        opset = opset_of(model)
        del model.opset_import[:], model.metadata_props[:]
        model.opset_import.append(helper.make_opsetid("", opset))
        if MACHINE_LEARNING in domains:
            model.opset_import.append(helper.make_opsetid(MACHINE_LEARNING, versions.get(MACHINE_LEARNING, 1)))
        model.ClearField("doc_string")
        for inner in graphs_of(model.graph):
            del inner.value_info[:], inner.metadata_props[:], inner.quantization_annotation[:]
            inner.ClearField("doc_string")

    @property
    def opset(self) -> int:
        """Return the version of the standard operators."""
        return opset_of(self.model)

    def take_images(self, port: Port, size: Size, layout: str) -> None:
        """Make the graph take float32 (batch, height, width, channels).

        Raises RefusedModel for uint8 images with an old opset.
        """
        rank = len(port.shape or ())
        shape = axes(size, layout, rank)
        steps: list[tuple[str, Sequence[str], dict[str, Any]]] = []
        if layout == NCHW and size[2] > 1:
            steps.append(("Transpose", (), {"perm": [0, 3, 1, 2]}))
        if shape != (size if layout != NCHW or size[2] == 1 else (size[2], *size[:2])):
            steps.append(("Reshape", (self._constant([-1, *shape]),), {}))
        if port.kind == TensorProto.UINT8:
            if self.opset < _ROUND_OPSET:
                raise RefusedModel(
                    f"The network takes uint8 images with opset {self.opset}. "
                    "Ask the author of the model to export it again with opset 17."
                )
            # Cubic interpolation leaves the range, and a cast would then turn white into black.
            steps.append(("Clip", [self._constant(end, np.float32) for end in _UINT8_RANGE], {}))
            steps.append(("Round", (), {}))
        if port.kind != TensorProto.FLOAT:
            steps.append(("Cast", (), {"to": port.kind}))
        nodes = self._chain(self.images, port.name, steps)
        self._prepend(nodes)
        del self.model.graph.input[:]
        self.model.graph.input.append(_tensor(self.images, [BATCH, *size]))

    def end_at(self, port: Port) -> None:
        """Make the graph return this output unchanged, for a first run that shows its shape."""
        del self.model.graph.output[:]
        self.model.graph.output.append(helper.make_tensor_value_info(port.name, port.kind, None))

    def return_scores(self, port: Port, *, labels: int, is_row: bool, activation: str | None) -> None:
        """Make the graph return float32 (batch, labels), with `activation` applied if the outputs are logits."""
        steps: list[tuple[str, Sequence[str], dict[str, Any]]] = []
        if port.kind != TensorProto.FLOAT:
            steps.append(("Cast", (), {"to": TensorProto.FLOAT}))
        if not is_row:
            steps.append(("Reshape", (self._constant([-1, labels]),), {}))
        if activation is not None:
            steps.append(("Softmax", (), {"axis": 1}) if activation == SOFTMAX else ("Sigmoid", (), {}))
        self.model.graph.node.extend(self._chain(port.name, self.scores, steps))
        del self.model.graph.output[:]
        self.model.graph.output.append(_tensor(self.scores, [BATCH, labels]))

    def run_one_by_one(self, size: Size, labels: int) -> None:
        """Put the whole graph into a Scan over the images of a batch, for a graph that takes one image only."""
        graph = self.model.graph
        image, row, images, rows = (self._new(name) for name in ("image", "row", IMAGES, SCORES))
        body = helper.make_graph([], "one_image", [_tensor(image, size)], [_tensor(row, [labels])])
        body.node.append(helper.make_node("Reshape", [image, self._constant([1, *size])], [self.images]))
        body.node.extend(graph.node)
        body.node.append(helper.make_node("Reshape", [self.scores, self._constant([labels])], [row]))
        del graph.node[:], graph.input[:], graph.output[:]
        graph.node.append(helper.make_node("Scan", [images], [rows], body=body, num_scan_inputs=1))
        graph.input.append(_tensor(images, [BATCH, *size]))
        graph.output.append(_tensor(rows, [BATCH, labels]))
        self.images, self.scores = images, rows
        self.added.append("Scan")

    def _chain(self, first: str, last: str, steps: Sequence[tuple[str, Sequence[str], dict[str, Any]]]) -> list[Any]:
        """Return nodes that apply all steps, one after the other, to the value `first` and give the value `last`."""
        self.added += [name for name, _, _ in steps]
        nodes, before = [], first
        for index, (name, inputs, attributes) in enumerate(steps or [("Identity", (), {})]):
            after = last if index >= len(steps) - 1 else self._new(f"{last}_{name.lower()}")
            nodes.append(helper.make_node(name, [before, *inputs], [after], **attributes))
            before = after
        return nodes

    def _prepend(self, nodes: Iterable[Any]) -> None:
        behind = [onnx.NodeProto.FromString(node.SerializeToString()) for node in self.model.graph.node]
        del self.model.graph.node[:]
        self.model.graph.node.extend([*nodes, *behind])

    def _constant(self, values: Sequence[int] | int, dtype: type[np.generic] = np.int64) -> str:
        name = self._new("constant")
        self.model.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def _new(self, name: str) -> str:
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def _tensor(name: str, shape: Sequence[int | str]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
