"""Load the network of a bundle with Keras and check it against bundle.json."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.networks.quiet_keras import import_keras
from nightread.errors import StopWork


class Network:
    """A bundle with its loaded network. Load it in the process that uses it: TensorFlow does not survive a fork."""

    def __init__(self, bundle: Bundle, model: Any) -> None:
        """Store a Keras model; load_network checks it."""
        self.bundle = bundle
        self.model = model

    def batch_scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (n, labels) float32 of prepared frames (n, height, width, channels), in one device call."""
        return np.asarray(self.model.predict_on_batch(inputs), np.float32)


def load_network(bundle: Bundle) -> Network:
    """Import Keras, load the network and check it. Raises StopWork if the network does not fit bundle.json."""
    keras = import_keras()  # takes seconds to import, and only workers have it installed
    try:
        model = keras.saving.load_model(bundle.weights, compile=False, safe_mode=True)
    except Exception as error:
        raise StopWork(
            f"model {bundle.reference}: Keras {keras.__version__} cannot load {bundle.weights} "
            f"({type(error).__name__}). Save it again as .keras with this version of Keras, without Lambda layers."
        ) from error
    if compile_by_xla() is False:
        model.jit_compile = False
    network = Network(bundle, model)
    _check_shapes(bundle, model)
    _check_scores(network)
    return network


def compile_by_xla() -> bool | str:
    """Return the value for `jit_compile` of Keras: False on TensorFlow, else `auto`.

    On a CPU, XLA has half the speed of oneDNN and takes 100-300 ms for each new batch size.
    """
    import keras  # noqa: PLC0415

    return False if keras.backend.backend() == "tensorflow" else "auto"


def _check_shapes(bundle: Bundle, model: Any) -> None:
    wanted = (bundle.spec.shape, (len(bundle.labels),))
    found = tuple(tuple(shape[1:]) for shape in (model.input_shape, model.output_shape))
    for kind, want, has in zip(("input", "output"), wanted, found, strict=True):
        if len(want) != len(has) or any(size not in (None, asked) for asked, size in zip(want, has, strict=True)):
            raise StopWork(
                f"model {bundle.reference}: the network's {kind} has the shape {has}, but bundle.json says {want}. "
                "Correct the input or the labels in the bundle, and save it again."
            )


def _check_scores(network: Network) -> None:
    """Score one frame of zeros: a network that returns logits would pass every other check."""
    bundle = network.bundle
    scores = network.batch_scores(np.zeros((1, *bundle.spec.shape), np.float32))
    if not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1):
        raise StopWork(
            f"model {bundle.reference}: the network returns scores outside of 0..1 for an image of zeros. "
            f"Add the {bundle.postprocessing.activation} activation that bundle.json names, and save it again."
        )
