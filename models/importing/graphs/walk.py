"""Go through an ONNX graph and all its sub-graphs, without recursion, because the file determines the depth."""

from collections.abc import Iterator
from typing import Any

from models.importing.errors import RefusedModel

MAX_NODES = 100_000
MAX_DEPTH = 8
MAX_TENSORS = 100_000
_SMALLER = "Ask the author of the model for a smaller network."


def graphs_of(graph: Any) -> Iterator[Any]:
    """Yield the graph and the graphs in the attributes of its nodes. Raises RefusedModel if they are too many."""
    waiting, nodes, tensors = [(graph, 0)], 0, 0
    while waiting:
        inner, depth = waiting.pop()
        nodes += len(inner.node)
        tensors += len(inner.initializer)
        if depth > MAX_DEPTH or nodes > MAX_NODES or tensors > MAX_TENSORS:
            raise RefusedModel(
                f"The network has more than {MAX_NODES:,} operators, {MAX_TENSORS:,} weights or {MAX_DEPTH} levels of "
                f"graphs inside of graphs. {_SMALLER}"
            )
        yield inner
        for node in inner.node:
            waiting += [(below, depth + 1) for below in sub_graphs(node)]


def sub_graphs(node: Any) -> Iterator[Any]:
    """Yield the graphs in the attributes of a node: the branches of If and the body of Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield all nodes, including those of sub-graphs."""
    for inner in graphs_of(graph):
        yield from inner.node


def tensors_of(graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the tensor of each weight and constant, including those of sub-graphs."""
    for inner in graphs_of(graph):
        yield from ((tensor.name, tensor) for tensor in inner.initializer)
        for node in inner.node:
            name = node.output[0] if node.output else node.name
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield name, attribute.t
                yield from ((name, tensor) for tensor in attribute.tensors)


def texts_of(graph: Any) -> Iterator[object]:
    """Yield the names of values, operators, attributes and weights in one graph; its sub-graphs are left out."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def names_of(graph: Any) -> set[str]:
    """Return all names of values, including those of sub-graphs."""
    names: set[str] = set()
    for inner in graphs_of(graph):
        names.update(value.name for value in (*inner.input, *inner.output, *inner.initializer))
        for node in inner.node:
            names.update(node.input)
            names.update(node.output)
    return names


def used_names(node: Any) -> set[str]:
    """Return the names that a node reads, including the names that its sub-graphs read from outside."""
    names = set(node.input)
    for below in sub_graphs(node):
        for inner in graphs_of(below):
            names.update(value.name for value in inner.output)
            for each in inner.node:
                names.update(each.input)
    return names


def constants_of(graph: Any) -> dict[str, Any]:
    """Return the tensors of the constant values of this graph by name, without those of its sub-graphs."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            constants.update((node.output[0], each.t) for each in node.attribute if each.name == "value")
    return constants
