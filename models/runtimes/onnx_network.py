"""Load the ONNX file of a bundle and run it with ONNX Runtime."""

import hashlib
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import ONNX_FILE, Bundle
from models.onnx_signature import NCHW, OnnxSignature
from models.postprocessing import SOFTMAX
from models.runtimes.network import Shape, check_scores, check_shapes
from models.runtimes.onnx_library import onnx_runtime
from nightread.errors import StopWork

log = logging.getLogger(__name__)

_FLOAT32 = "tensor(float)"
_QUIET = 4
"""The severity `fatal` of ONNX Runtime: errors are raised anyway, and its warnings concern only its developers."""
_GPU, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxNetwork:
    """A network that ONNX Runtime runs. Implements models.runtimes.network.Network."""

    def __init__(self, bundle: Bundle, signature: OnnxSignature, session: Any) -> None:
        """Store a session; load_onnx_network checks it."""
        self.bundle = bundle
        self.runtime = onnx_version()
        self._session = session
        self._outputs = [signature.output]
        self._input = signature.input
        self._channels_first = signature.layout == NCHW
        self._activation = _activation_of(bundle) if signature.logits else None

    def batch_scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (n, labels) float32 of prepared frames (n, height, width, channels), in one device call."""
        given = _channels_first(inputs) if self._channels_first else inputs
        scores: NDArray[np.float32] = self._session.run(self._outputs, {self._input: given})[0]
        return scores if self._activation is None else self._activation(scores)


def load_onnx_network(bundle: Bundle, *, on_gpu: bool = False, threads: int = 1) -> OnnxNetwork:
    """Open the ONNX file and check it. Raises StopWork if it cannot be opened or does not fit bundle.json.

    Custom operators are not registered, so a file that needs custom operators cannot be opened. `threads` is the number
    of threads, 0 for all cores. The default is 1, because each worker process has one core. Threads do not spin while
    they wait.
    """
    signature = bundle.onnx
    if signature is None:
        raise StopWork(f"model {bundle.reference}: bundle.json describes no ONNX file. Copy the whole folder again.")
    session = open_session(bundle, ONNX_FILE, on_gpu=on_gpu, threads=threads)
    input_shape = _shape(bundle, "input", signature.input, session.get_inputs())
    outputs = [found for found in session.get_outputs() if found.name == signature.output]
    output_shape = _shape(bundle, "output", signature.output, outputs)
    if signature.layout == NCHW and len(input_shape) == len(bundle.spec.shape):
        input_shape = (*input_shape[1:], input_shape[0])
    check_shapes(bundle, input_shape, output_shape)
    network = OnnxNetwork(bundle, signature, session)
    check_scores(network)
    if on_gpu and _GPU not in session.get_providers():
        log.warning(
            "model %s runs on the CPU, though there is a GPU: ONNX Runtime cannot use it. Install onnxruntime-gpu with "
            "the libraries of CUDA that it needs, or use a bundle with a Keras file and NIGHTREAD_RUNTIME=auto",
            bundle.reference,
        )
    return network


def onnx_version() -> str:
    """Return the version of ONNX Runtime as results state it: `onnxruntime 1.32.0`."""
    return f"onnxruntime {onnx_runtime().__version__}"


def open_session(bundle: Bundle, file: str, *, on_gpu: bool = False, threads: int = 1) -> Any:
    """Open an ONNX file of a bundle, if its bytes are those that the digest covers. Raises StopWork."""
    try:
        onnxruntime = onnx_runtime()
    except ImportError as error:
        raise StopWork(
            f"model {bundle.reference}: ONNX Runtime is not installed. Run `pip install 'nightread[worker]'`."
        ) from error
    onnxruntime.set_default_logger_severity(_QUIET)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # The digest covers only this file, so weights in other files (external data) must not be loaded.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    content = _verified_content(bundle, file)
    try:
        return onnxruntime.InferenceSession(content, options, providers=_providers(on_gpu=on_gpu))
    except Exception as error:
        raise StopWork(
            f"model {bundle.reference}: ONNX Runtime {onnxruntime.__version__} cannot open {bundle.path / file} "
            f"({type(error).__name__}). Export it again with a lower opset, without custom operators and with all "
            "weights in the same file, or install a newer onnxruntime."
        ) from error


def _verified_content(bundle: Bundle, file: str) -> bytes:
    """Return the bytes of the file. Raises StopWork if they are not those that the digest covers."""
    try:
        content = (bundle.path / file).read_bytes()
    except OSError as error:
        raise StopWork(
            f"model {bundle.reference}: {bundle.path / file} cannot be read ({type(error).__name__}). "
            "Copy the whole folder again."
        ) from error
    if hashlib.sha256(content).hexdigest() != bundle.files.get(file):
        raise StopWork(
            f"model {bundle.reference}: {bundle.path / file} was changed after the bundle was read. Start again."
        )
    return content


def _providers(*, on_gpu: bool) -> list[str]:
    wanted = (_GPU, _CPU) if on_gpu else (_CPU,)
    return [provider for provider in wanted if provider in onnx_runtime().get_available_providers()]


def _shape(bundle: Bundle, kind: str, name: str, found: Sequence[Any]) -> Shape:
    """Return the shape of the only input or output without its first axis. Raises StopWork."""
    if [value.name for value in found] != [name] or found[0].type != _FLOAT32:
        raise StopWork(
            f"model {bundle.reference}: {bundle.onnx_file} must have the float32 {kind} {name!r}, which bundle.json "
            f"names{', and no further input' if kind == 'input' else ''}. Export the network again, or correct the "
            "table onnx in bundle.json and save the bundle again."
        )
    count, *shape = found[0].shape or [None]
    if isinstance(count, int):
        raise StopWork(
            f"model {bundle.reference}: {bundle.onnx_file} takes exactly {count} image(s) at once. "
            "Export it again with a free batch size (dynamic axes)."
        )
    return tuple(size if isinstance(size, int) else None for size in shape)


def _channels_first(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return frames (n, height, width, channels) as (n, channels, height, width); a single channel is not copied."""
    count, height, width, channels = inputs.shape
    if channels == 1:
        return inputs.reshape(count, 1, height, width)
    return np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))


def _activation_of(bundle: Bundle) -> Any:
    return _softmax if bundle.postprocessing.activation == SOFTMAX else _sigmoid


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return scores


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # exp of a very negative logit is infinite, and its score 0
        scores: NDArray[np.float32] = np.reciprocal(1 + np.exp(-logits))
    return scores
