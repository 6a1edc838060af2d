"""A bundle's network, loaded by Keras and checked against what the bundle says of it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.networks.quiet_keras import import_keras
from nightread.errors import StopWork


class Network:
    """A loaded Keras model. Load it in the process that uses it: TensorFlow does not survive a fork."""

    def __init__(self, bundle: Bundle, model: Any) -> None:
        """Wrap a Keras model that load_network has checked."""
        self.bundle = bundle
        self.model = model

    def batch_scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (n, labels) float32 of prepared frames (n, height, width, channels), in one call of the device."""
        return np.asarray(self.model.predict_on_batch(inputs), np.float32)


def load_network(bundle: Bundle) -> Network:
    """Load and check the network. Imports Keras. Raises StopWork where file and bundle do not fit each other."""
    keras = import_keras()  # seconds to import, and only workers have it
    try:
        model = keras.saving.load_model(bundle.weights, compile=False, safe_mode=True)
    except Exception as error:
        raise StopWork(
            f"model {bundle.reference}: Keras {keras.__version__} cannot load {bundle.weights} "
            f"({type(error).__name__}). Save it again as .keras with this version, without Lambda layers."
        ) from error
    if compile_by_xla() is False:
        model.jit_compile = False
    network = Network(bundle, model)
    _check_shapes(bundle, model)
    _check_scores(network)
    return network


def compile_by_xla() -> bool | str:
    """Keras' `jit_compile`: left to Keras except on TensorFlow, where XLA has half the speed of oneDNN on a CPU.

    It would also take 100-300 ms for each new batch size.
    """
    import keras  # noqa: PLC0415

    return False if keras.backend.backend() == "tensorflow" else "auto"


def _check_shapes(bundle: Bundle, model: Any) -> None:
    wanted = (bundle.spec.shape, (len(bundle.labels),))
    found = tuple(tuple(shape[1:]) for shape in (model.input_shape, model.output_shape))
    for kind, want, has in zip(("input", "output"), wanted, found, strict=True):
        if len(want) != len(has) or any(size not in (None, asked) for asked, size in zip(want, has, strict=True)):
            raise StopWork(
                f"model {bundle.reference}: the network's {kind} has the shape {has} and bundle.json says {want}. "
                "Correct the bundle's input or labels, and save it anew."
            )


def _check_scores(network: Network) -> None:
    """One empty frame: a network that answers with logits would pass every other check."""
    bundle = network.bundle
    scores = network.batch_scores(np.zeros((1, *bundle.spec.shape), np.float32))
    if not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1):
        raise StopWork(
            f"model {bundle.reference}: the network answers an empty image with numbers outside of 0..1. "
            f"End it with the {bundle.postprocessing.activation} activation that bundle.json names, and save it anew."
        )
