"""Load the Keras file of a bundle and run it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.runtimes.network import check_scores, check_shapes
from models.runtimes.quiet_keras import import_keras
from nightread.errors import StopWork


class KerasNetwork:
    """A network that Keras runs on its backend. Implements models.runtimes.network.Network."""

    def __init__(self, bundle: Bundle, model: Any) -> None:
        """Store a Keras model; load_keras_network checks it."""
        self.bundle = bundle
        self.model = model
        self.runtime = keras_version()

    def batch_scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (n, labels) float32 of prepared frames (n, height, width, channels), in one device call."""
        return np.asarray(self.model.predict_on_batch(inputs), np.float32)


def load_keras_network(bundle: Bundle) -> KerasNetwork:
    """Import Keras, load the network and check it. Raises StopWork if the network cannot be used."""
    keras = import_keras()  # takes seconds to import, and lean workers do not have it
    try:
        model = keras.saving.load_model(bundle.keras_file, compile=False, safe_mode=True)
    except Exception as error:
        raise StopWork(
            f"model {bundle.reference}: Keras {keras.__version__} cannot load {bundle.keras_file} "
            f"({type(error).__name__}). Save it again as .keras with this version of Keras, without Lambda layers."
        ) from error
    if compile_by_xla() is False:
        model.jit_compile = False
    network = KerasNetwork(bundle, model)
    check_shapes(bundle, *(tuple(shape[1:]) for shape in (model.input_shape, model.output_shape)))
    check_scores(network)
    return network


def keras_version() -> str:
    """Return the versions of Keras and of its backend, as results state them: `keras 3.12.0 on tensorflow 2.20.0`."""
    import keras  # noqa: PLC0415

    backend = keras.backend.backend()
    module = __import__(backend)
    return f"keras {keras.__version__} on {backend} {module.__version__}"


def compile_by_xla() -> bool | str:
    """Return the value for `jit_compile` of Keras: False on TensorFlow, else `auto`.

    On a CPU, XLA has half the speed of oneDNN and takes 100-300 ms for each new batch size.
    """
    import keras  # noqa: PLC0415

    return False if keras.backend.backend() == "tensorflow" else "auto"
