"""Export a Keras network as ONNX: float32, one input and one output of fixed names, any number of images."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.onnx_signature import NHWC, OnnxSignature
from models.runtimes.quiet_keras import captured_stderr

_INPUT, _OUTPUT = "images", "scores"
_FREE = "NSTU"
"""One name for each axis, used if the size of the axis is free. Axis 0, the size of the batch, is always free."""
_OPSET = 17
"""The operator set: ONNX Runtime 1.12 and all later versions run it, and tf2onnx supports it."""
_LONGEST_REASON = 300


class ExportFailedError(Exception):
    """The network could not be exported as ONNX, or the export does not give the same scores."""


def export_onnx(model: Any, path: Path, shape: tuple[int | None, ...]) -> OnnxSignature:
    """Write the ONNX file of a Keras network for inputs of `shape` and return how to run it. Raises ExportFailedError.

    None in `shape` is a size that is free, such as the number of slices for a sequence head.

    The same network gives the same bytes: comments and names of the exporter are removed or replaced.
    """
    try:
        with _quiet():
            import keras  # noqa: PLC0415 - takes seconds
            import onnx  # noqa: PLC0415

            given = keras.InputSpec(shape=(None, *shape), dtype="float32", name=_INPUT)
            model.export(path, format="onnx", verbose=False, input_signature=[given], opset_version=_OPSET)
            exported = onnx.load(path, load_external_data=False)
            _tidy(exported)
            onnx.checker.check_model(exported, full_check=True)
            path.write_bytes(exported.SerializeToString(deterministic=True))
    except MemoryError:
        raise
    except Exception as error:
        path.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise ExportFailedError(f"the export failed ({type(error).__name__}: {reason})") from error
    return OnnxSignature(input=_INPUT, output=_OUTPUT, layout=NHWC, opset=_OPSET)


def _tidy(exported: Any) -> None:
    """Name the input and the output, make the number of images free, and remove comments. Raises ValueError."""
    graph = exported.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise ValueError(f"{len(graph.input)} inputs and {len(graph.output)} outputs instead of one of each")
    renamed = {graph.input[0].name: _INPUT, graph.output[0].name: _OUTPUT}
    for node in graph.node:
        node.doc_string = ""
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    for value in (graph.input[0], graph.output[0]):
        value.name = renamed[value.name]
        for number, size in enumerate(value.type.tensor_type.shape.dim):
            if number == 0 or not size.dim_value:
                size.dim_param = _FREE[number]
    del graph.value_info[:], exported.metadata_props[:]
    exported.doc_string = graph.doc_string = ""
    graph.name = "nightread"
    if not any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        _number(graph)


def _number(graph: Any) -> None:
    """Name nodes, weights and values by numbers, and sort the weights in the order in which the nodes read them.

    The names that the exporter gives differ in each process, and its order of the weights differs in each call.
    """
    names = {"": "", _INPUT: _INPUT, _OUTPUT: _OUTPUT}
    read = dict.fromkeys(name for node in graph.node for name in node.input)
    order = {name: number for number, name in enumerate(read)}
    graph.initializer.sort(key=lambda weight: order.get(weight.name, len(order)))
    for number, weight in enumerate(graph.initializer):
        weight.name = names.setdefault(weight.name, f"weight_{number}")
    for number, node in enumerate(graph.node):
        node.name = f"node_{number}"
        node.input[:] = [names[name] for name in node.input]
        for position, name in enumerate(node.output):
            names.setdefault(name, f"value_{number}_{position}")
        node.output[:] = [names[name] for name in node.output]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings and log lines of TensorFlow and tf2onnx; an error is still raised."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), captured_stderr():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
