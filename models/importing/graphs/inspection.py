"""Read an ONNX file, and refuse it before it is run if it contains more than a network of standard operators."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from models.importing.architecture import printable
from models.importing.errors import RefusedModel
from models.importing.graphs.operators import DEFAULT_DOMAINS, why_refused
from models.importing.graphs.walk import constants_of, graphs_of, nodes_of, tensors_of, texts_of

OLDEST_OPSET = 7
"""The oldest operator set for which ONNX Runtime promises support."""
_USUAL_OPSET = 17
_LARGEST_FILE = 2**31 - 1
"""The largest accepted file in bytes. No file in this format can be larger."""
_LARGEST_TENSOR = 2**31
"""The largest accepted number of elements of a tensor. A file of 2 GiB cannot hold as many."""
FREE_SIZE = -1
"""The number that some exporters, such as paddle2onnx, write for a free size."""
_MOST_AXES = 16
_NAMES = 3
_TYPES = frozenset(
    "FLOAT FLOAT16 BFLOAT16 DOUBLE INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL".split()  # noqa: SIM905
)
_FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})
_DAMAGED = "The .onnx file is damaged, or it has more parts than any real network. Copy it again."
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_AGAIN = "Ask the author of the model to export the network again"


def read_model(path: Path) -> Any:
    """Return the ModelProto of a file that holds a plain graph and nothing else. Raises RefusedModel.

    Fields that the ONNX standard does not define are removed. Operators and weights are not checked here:
    `check_graph` does this after the parts that nightread does not need were removed.
    """
    model = _parsed(path)
    _check_whole(model)
    _check_versions(model)
    for inner in graphs_of(model.graph):
        if not all(isinstance(text, str) for text in texts_of(inner)):  # a text that is not UTF-8 is bytes
            raise RefusedModel(_DAMAGED)
        if inner.sparse_initializer or any(_is_sparse(node) for node in inner.node):
            raise RefusedModel(f"The network has sparse weights. {_AGAIN} with dense weights.")
        for value in (*inner.input, *inner.output, *inner.value_info):
            _check_declared(value)
    return model


def check_graph(graph: Any) -> None:
    """Raise RefusedModel for an operator or weights that nightread does not accept; the message names them."""
    for name, tensor in tensors_of(graph):
        _check_tensor(name, tensor)
    for node in nodes_of(graph):
        why = why_refused(node.domain, node.op_type)
        if why is not None:
            kind = node.op_type if node.domain in DEFAULT_DOMAINS else f"{node.domain}.{node.op_type}"
            raise RefusedModel(f"The operator {short(kind)} ({short(node.name or '-')}) is refused: {why}.")
    for inner in graphs_of(graph):
        constants = constants_of(inner)
        for node in inner.node:
            _check_not_training(constants, node)


def bad_weights(graph: Any) -> list[str]:
    """Return the names of at most three weights with NaN or infinity. A weight of one number may be infinite."""
    bad: list[str] = []
    for name, tensor in tensors_of(graph):
        if tensor.data_type in _FLOATS:
            values = onnx.numpy_helper.to_array(tensor)
            if np.isnan(values).any() or (values.size > 1 and np.isinf(values).any()):
                bad.append(short(name))
        if len(bad) == _NAMES:
            break
    return bad


def count_parameters(graph: Any) -> int:
    """Return the number of weights: the elements of all floating-point tensors."""
    return sum(size_of(tensor) for _, tensor in tensors_of(graph) if tensor.data_type in _FLOATS)


def size_of(tensor: Any) -> int:
    """Return the number of elements by the declared shape; -1 if this number is impossible in a real network."""
    return _product(tensor.dims)


def opset_of(model: Any) -> int:
    """Return the version of the standard operators."""
    return next(int(one.version) for one in model.opset_import if one.domain in DEFAULT_DOMAINS)


def short(text: object) -> str:
    """Shorten foreign text and make it printable, so that it cannot fill or control the terminal."""
    return printable(str(text)[:60])


def _parsed(path: Path) -> Any:
    if path.stat().st_size > _LARGEST_FILE:
        raise RefusedModel(
            f"The .onnx file has more than {_LARGEST_FILE:,} bytes. Ask the author of the model for a smaller network."
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, ValueError) as error:
        raise RefusedModel(_DAMAGED) from error
    model.DiscardUnknownFields()
    if not model.graph.node:
        raise RefusedModel(
            "The file holds no ONNX network. Ask the author of the model for the file that the export wrote."
        )
    return model


def _check_whole(model: Any) -> None:
    if model.training_info:
        raise RefusedModel(f"The file holds training steps. {_AGAIN} for inference.")
    if model.functions:
        name = f"{model.functions[0].domain}.{model.functions[0].name}"
        raise RefusedModel(
            f"The file defines operators of its own ({short(name)}). {_AGAIN}, and to save the result of "
            "onnx.inliner.inline_local_functions(model)."
        )


def _check_versions(model: Any) -> None:
    found = list({one.version for one in model.opset_import if one.domain in DEFAULT_DOMAINS})
    if not found and not any(node.domain in DEFAULT_DOMAINS for node in nodes_of(model.graph)):
        model.opset_import.append(onnx.helper.make_opsetid("", _USUAL_OPSET))  # for the operators that are added
        found = [_USUAL_OPSET]
    if len(found) != 1:
        raise RefusedModel(f"The file does not name exactly one version of the standard operators (opset). {_AGAIN}.")
    newest, newest_ir = onnx.defs.onnx_opset_version(), int(onnx.IR_VERSION)
    if not OLDEST_OPSET <= found[0] <= newest or not 1 <= model.ir_version <= newest_ir:
        raise RefusedModel(
            f"The file has opset {found[0]} and format version {model.ir_version}; opsets {OLDEST_OPSET} to {newest} "
            f"and format versions up to {newest_ir} are read. {_AGAIN} with opset 17 (opset_version=17)."
        )


def _is_sparse(node: Any) -> bool:
    return any(each.HasField("sparse_tensor") or each.sparse_tensors for each in node.attribute)


def _check_declared(value: Any) -> None:
    shape = value.type.tensor_type.shape.dim
    if _product([1 if length.dim_value in (0, FREE_SIZE) else length.dim_value for length in shape]) < 0:
        raise RefusedModel(
            f"{short(value.name)} is declared with more than {_LARGEST_TENSOR:,} numbers or a negative size, which no "
            "real network has. Do not use this file."
        )


def _product(lengths: Iterable[int]) -> int:
    size = 1
    for number, length in enumerate(lengths):
        size *= length
        if length < 0 or size > _LARGEST_TENSOR or number >= _MOST_AXES:
            return -1
    return size


def _check_tensor(name: str, tensor: Any) -> None:
    """Raise RefusedModel unless the tensor is completely in the file and has a type that networks for images use."""
    kinds = onnx.TensorProto.DataType
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise RefusedModel(
            f"The weights {short(name)} lie in another file, which nightread does not open. {_AGAIN} in one file: "
            "torch.onnx.export(..., external_data=False), or onnx.save_model(onnx.load('net.onnx'), 'one.onnx')."
        )
    if tensor.HasField("segment") or tensor.data_type not in kinds.values():
        raise RefusedModel(f"The weights {short(name)} have an unknown form. {_AGAIN}.")
    kind = kinds.Name(tensor.data_type)
    if kind not in _TYPES:
        raise RefusedModel(f"The weights {short(name)} are of type {kind.lower()}. {_AGAIN} with float32 weights.")
    if not _holds(tensor, size_of(tensor)):
        raise RefusedModel(
            f"The weights {short(name)} are declared with a shape that does not fit the numbers in the file. The "
            "file is damaged, or made to fill the memory: do not use it."
        )


def _holds(tensor: Any, size: int) -> bool:
    """Return whether the tensor stores `size` numbers, either all in raw_data or all in the field of its type."""
    filled = [name for name in _FIELDS if len(getattr(tensor, name))]
    if tensor.HasField("raw_data"):
        item = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
        return not filled and len(tensor.raw_data) == size * item
    field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
    return filled in ([], [field]) and len(getattr(tensor, field)) == size


def _check_not_training(constants: Mapping[str, Any], node: Any) -> None:
    if node.domain not in DEFAULT_DOMAINS:
        return
    training = any(each.name == "training_mode" and each.i for each in node.attribute)
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:  # noqa: PLR2004 - data, ratio, mode
        mode = constants.get(node.input[2])
        training = mode is None or bool(onnx.numpy_helper.to_array(mode).any())
    if training:
        raise RefusedModel(
            f"The network was exported in training mode ({node.op_type} {short(node.name or '-')}), in which its "
            "scores change from batch to batch. "
            "Ask the author of the model to call net.eval() before torch.onnx.export."
        )
