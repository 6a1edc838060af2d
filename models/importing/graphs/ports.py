"""Find the input for images and the output with scores in an ONNX graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from models.importing.errors import RefusedModel
from models.importing.graphs.inspection import FREE_SIZE, short
from models.importing.graphs.operators import DEFAULT_DOMAINS
from models.onnx_signature import LAYOUTS, NCHW

Shape = tuple[int | None, ...]
_KINDS = onnx.TensorProto
INPUT_TYPES = (_KINDS.FLOAT, _KINDS.FLOAT16, _KINDS.BFLOAT16, _KINDS.DOUBLE, _KINDS.UINT8)
OUTPUT_TYPES = (_KINDS.FLOAT, _KINDS.FLOAT16, _KINDS.BFLOAT16, _KINDS.DOUBLE)
_RANKS = (2, 3, 4)
_PASSING = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that may follow an activation without changing its scores."""
_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output of the graph."""

    name: str
    kind: int
    """The type of the elements, from onnx.TensorProto.DataType; 0 if the port is not a tensor."""
    shape: Shape | None
    """The sizes of the axes, where a free size is None. The field itself is None if the file states no shape."""

    def __str__(self) -> str:
        """Return the port as messages show it."""
        sizes = "x".join("any" if size is None else str(size) for size in self.shape or ())
        return f"{short(self.name)} ({type_name(self.kind)}{' ' + sizes if sizes else ''})"


def image_input(graph: Any, wanted: str | None) -> Port:
    """Return the input for images. Raises RefusedModel, which lists all inputs, if there is none or more than one."""
    weights = {tensor.name for tensor in graph.initializer}
    found = [_port(value) for value in graph.input if value.name not in weights]
    chosen = _chosen(found, wanted, "input")
    if len(found) > 1:
        others = ", ".join(str(port) for port in found if port is not chosen)
        raise RefusedModel(
            f"The network also needs the input {others[:300]}, but nightread gives it images only. "
            "Ask the author of the model for a network with one image as input."
        )
    if chosen.kind not in INPUT_TYPES:
        raise RefusedModel(
            f"The input {chosen} takes {type_name(chosen.kind)}; float32, float16, bfloat16, float64 and uint8 are "
            "supported. Ask the author of the model to export the network for float32 images."
        )
    return chosen


def score_output(graph: Any, wanted: str | None) -> Port:
    """Return the output with scores. Raises RefusedModel, which lists all outputs, if none can be chosen or used."""
    chosen = _chosen([_port(value) for value in graph.output], wanted, "output")
    if chosen.kind not in OUTPUT_TYPES:
        raise RefusedModel(
            f"The output {chosen} is not a row of scores. Give --output-name with the name of the output that has the "
            "scores. Export a classifier of scikit-learn with skl2onnx's option zipmap=False, and give --output-name "
            "probabilities."
        )
    return chosen


def layout_of(port: Port, size: tuple[int, int, int], stated: str | None) -> str:
    """Return the layout, NHWC or NCHW, that fits images of `size` (height, width, channels).

    Raises RefusedModel if neither fits, if `stated` does not fit, or if both fit and `stated` chooses none.
    """
    shape = port.shape
    if shape is None or len(shape) not in _RANKS:
        raise RefusedModel(
            f"The input {port} does not have the axes of images: batch, height, width and channels (NHWC or NCHW), or "
            "batch and one row of pixels. Ask the author of the model for a network of single images."
        )
    if shape[0] not in (None, 1):
        raise RefusedModel(
            f"The network takes exactly {shape[0]} images at once. "
            "Ask the author of the model to export it with a free batch size: "
            "torch.onnx.export(..., dynamic_axes={'input': {0: 'batch'}}) or dynamic_shapes."
        )
    fitting = [layout for layout in LAYOUTS if _fits(shape[1:], axes(size, layout, len(shape)))]
    if stated is not None and stated in fitting:
        return stated
    if not fitting or stated is not None:
        height, width, channels = size
        hint = f" with --layout {stated}" if stated else ""
        raise RefusedModel(
            f"The input {port} does not take images of {height}x{width}x{channels} (--input){hint}. Give --input with "
            "the height, width and channels of the images that the network was trained on."
        )
    if len(fitting) > 1 and (size[2] > 1 or len(shape) == max(_RANKS)):
        raise RefusedModel(
            f"The input {port} does not say where its channels are. Give --layout NCHW for a network of PyTorch, "
            "--layout NHWC for one of Keras or TensorFlow, as its author says."
        )
    return fitting[0]


def axes(size: tuple[int, int, int], layout: str, rank: int) -> tuple[int, ...]:
    """Return the shape in which an input with `rank` axes takes one image of `size`. The batch axis is left out."""
    height, width, channels = size
    if rank == 2:  # noqa: PLR2004 - batch and pixels
        return (height * width * channels,)
    if rank == 3:  # noqa: PLR2004 - batch, height and width
        return (height, width) if channels == 1 else (height, width, channels)
    return (channels, height, width) if layout == NCHW else size


def activation_of(graph: Any, output: str) -> str | None:
    """Return the activation that the graph applies last: `softmax` or `sigmoid`; None if the graph ends otherwise."""
    makers = {name: node for node in graph.node for name in node.output}
    for _ in range(len(graph.node)):
        node = makers.get(output)
        if node is None or node.domain not in DEFAULT_DOMAINS:
            return None
        if node.op_type not in _PASSING or not node.input:
            return _ACTIVATIONS.get(node.op_type)
        output = node.input[0]
    return None


def type_name(kind: int) -> str:
    """Return the name of a type as messages spell it, such as `float16`."""
    names = {int(number): str(name).lower() for name, number in _KINDS.DataType.items()}
    names |= {0: "no tensor", int(_KINDS.FLOAT): "float32", int(_KINDS.DOUBLE): "float64"}
    return names.get(kind, "no tensor")


def _port(value: Any) -> Port:
    tensor = value.type.tensor_type if value.type.HasField("tensor_type") else None
    shape = None
    if tensor is not None and tensor.HasField("shape"):
        shape = tuple(
            length.dim_value if length.HasField("dim_value") and length.dim_value != FREE_SIZE else None
            for length in tensor.shape.dim
        )
    return Port(name=value.name, kind=tensor.elem_type if tensor is not None else 0, shape=shape)


def _chosen(found: Sequence[Port], wanted: str | None, what: str) -> Port:
    names = ", ".join(map(str, found[:_SHOWN])) or "none"
    chosen = [port for port in found if wanted in (None, port.name)]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        remedy = f"The network has no {what} {wanted!r}" if found else f"The network has no {what}"
        raise RefusedModel(f"{remedy}; it has: {names}. Correct --{what}-name.")
    raise RefusedModel(
        f"The network has {len(found)} {what}s: {names}. Give --{what}-name NAME (in a card: {what}_name) with the one "
        f"that {'takes the image' if what == 'input' else 'has one score per label'}."
    )


def _fits(found: Shape, wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) and all(has in (None, asked) for has, asked in zip(found, wanted, strict=True))
