"""Run an ONNX graph with ONNX Runtime in the sandbox, and say in words why it cannot be run."""

import os
import re
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from models.importing.errors import RefusedModel
from models.runtimes.onnx_library import onnx_runtime

_BATCH = 8
_THREADS = 4
_QUIET = 4
_OPERATOR = re.compile(r"\b([A-Z][A-Za-z]{1,40})\b")
_MEMORY = re.compile(r"alloc|memory", re.IGNORECASE)


class GraphSession:
    """A loaded graph with one input and one output."""

    def __init__(self, model: Any) -> None:
        """Load the graph. Raises RefusedModel."""
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = min(os.cpu_count() or 1, _THREADS)
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise _refused("load", error) from error
        self._input = self._session.get_inputs()[0].name

    def scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the output for inputs (n, height, width, channels). Raises RefusedModel."""
        try:
            parts = [
                self._session.run(None, {self._input: inputs[begin : begin + _BATCH]})[0]
                for begin in range(0, len(inputs), _BATCH)
            ]
        except Exception as error:
            raise _refused("run", error) from error
        return np.concatenate(parts).astype(np.float64)

    def one_by_one(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the same as `scores`, with a separate run for each image."""
        return np.concatenate([self.scores(one[np.newaxis]) for one in inputs])


def version() -> str:
    """Return the version of ONNX Runtime."""
    return str(onnx_runtime().__version__)


def _refused(what: str, error: Exception) -> RefusedModel:
    text = str(error)
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        return RefusedModel(
            "The network needs more memory than an import may use for weights of this size. "
            "Ask the author of the model for a smaller network."
        )
    # Only the name of a standard operator is passed on, because the rest of the message may quote the file.
    known = next((name for name in _OPERATOR.findall(text) if onnx.defs.has(name)), None)
    where = f" at an operator {known}" if known else ""
    return RefusedModel(
        f"ONNX Runtime {version()} cannot {what} the network{where} ({type(error).__name__}). "
        "Ask the author of the model to export it again, with float32 weights and opset 17 (opset_version=17), and to "
        "run the file with onnxruntime first."
    )
