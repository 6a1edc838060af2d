"""Save a network as a legacy HDF5 file, for programs that cannot read newer formats."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from models.networks.names import CLASSIC
from nightread.errors import UsageFault

CLASSIC_FILE = "medical_image_analysis_model.h5"
_TOLERANCE = 1e-5
"""The largest allowed difference between the scores of the network and the scores of the file that was loaded again."""


def require_h5(model: Any, network: str) -> None:
    """Raise UsageFault if save_h5 would fail after the training."""
    with TemporaryDirectory(prefix="nightread-") as folder:
        save_h5(model, Path(folder), network=network, name="trial")


def save_h5(model: Any, folder: Path, *, network: str, name: str) -> Path:
    """Write `medical_image_analysis_model.h5` for the classic network, else `NAME.h5`, and load it again.

    Raises UsageFault if the format cannot store this network: the format supports layers, but no operations between
    layers.
    """
    path = folder / (CLASSIC_FILE if network.lower() == CLASSIC else f"{name}.h5")
    inputs = np.random.default_rng(0).random((2, *model.input_shape[1:]), np.float32)
    try:
        model.save(path)
        again = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, NotImplementedError) as error:
        path.unlink(missing_ok=True)
        raise UsageFault(
            f"the legacy .h5 format cannot store {network} ({type(error).__name__}): train it without --also-h5"
        ) from error
    np.testing.assert_allclose(again.predict_on_batch(inputs), model.predict_on_batch(inputs), atol=_TOLERANCE)
    return path
