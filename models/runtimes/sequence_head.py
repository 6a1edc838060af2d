"""Load the sequence head of a bundle: a second network, which turns the scores of slices into scores of the stack."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import HEAD_KERAS_FILE, HEAD_ONNX_FILE, Bundle
from models.runtimes.load import is_installed
from models.runtimes.network import ROUNDING
from nightread.errors import StopWork
from nightread.runtime_names import AUTO, KERAS, ONNX

Scores = NDArray[np.float32]
_FILES = {ONNX: HEAD_ONNX_FILE, KERAS: HEAD_KERAS_FILE}
_TRIED_LENGTHS = (1, 2, 50)


class SequenceHead:
    """A network from (1, slices, labels) to (1, labels), both float32 in 0..1, for any number of slices."""

    def __init__(self, bundle: Bundle, run: Callable[[Scores], Any]) -> None:
        """Store the network; load_head checks it."""
        self._bundle = bundle
        self._run = run

    def __call__(self, scores: Scores) -> Scores:
        """Return the scores of a stack, (labels,), from the scores of its slices in order, (slices, labels).

        Raises ValueError if the network does not return as many scores in 0..1 as the bundle has labels.
        """
        found = np.asarray(self._run(np.ascontiguousarray(scores[None], np.float32)), np.float32)
        if found.shape != (1, len(self._bundle.labels)):
            raise ValueError(f"the sequence head returns the shape {found.shape}, not (1, {len(self._bundle.labels)})")
        if not (np.isfinite(found).all() and found.min() >= -ROUNDING and found.max() <= 1 + ROUNDING):
            raise ValueError("the sequence head returns NaN, infinity or scores outside of 0..1")
        return np.asarray(np.clip(found[0], 0, 1))


def load_head(bundle: Bundle, runtime: str = AUTO) -> SequenceHead:
    """Load and check the sequence head of a bundle; `auto` prefers ONNX Runtime. Raises StopWork."""
    offered = [name for name, file in _FILES.items() if file in bundle.files and is_installed(name)]
    chosen = runtime if runtime in offered else next(iter(offered), None)
    if chosen is None:
        raise StopWork(
            f"model {bundle.reference}: no runtime for its sequence head is installed. "
            "Run `pip install 'nightread[worker]'`, or if the head is a Keras file, "
            "`pip install 'nightread[tensorflow]'`."
        )
    head = SequenceHead(bundle, _onnx(bundle) if chosen == ONNX else _keras(bundle))
    try:
        for length in _TRIED_LENGTHS:
            head(np.full((length, len(bundle.labels)), 1 / len(bundle.labels), np.float32))
    except Exception as error:
        raise StopWork(
            f"model {bundle.reference}: the sequence head {_FILES[chosen]} cannot be used ({type(error).__name__}). It "
            f"must take any number of slices, (1, slices, {len(bundle.labels)}), and return "
            f"(1, {len(bundle.labels)}) scores in 0..1."
        ) from error
    return head


def _onnx(bundle: Bundle) -> Callable[[Scores], Any]:
    from models.runtimes.onnx_network import open_session  # noqa: PLC0415 - one runtime is enough

    session = open_session(bundle, HEAD_ONNX_FILE)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise StopWork(f"model {bundle.reference}: {HEAD_ONNX_FILE} must have one input and one output.")
    return lambda scores: session.run([outputs[0].name], {inputs[0].name: scores})[0]


def _keras(bundle: Bundle) -> Callable[[Scores], Any]:
    from models.runtimes.quiet_keras import import_keras  # noqa: PLC0415 - takes seconds to import

    keras = import_keras()
    try:
        model = keras.saving.load_model(bundle.path / HEAD_KERAS_FILE, compile=False, safe_mode=True)
    except Exception as error:
        raise StopWork(
            f"model {bundle.reference}: Keras {keras.__version__} cannot load {HEAD_KERAS_FILE} "
            f"({type(error).__name__}). Save it again as .keras with this version of Keras, without Lambda layers."
        ) from error
    return lambda scores: model(scores, training=False)
