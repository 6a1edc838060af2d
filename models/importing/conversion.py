"""Convert a foreign file to a plain .keras file and score images with it; this runs inside the sandbox."""

from pathlib import Path
from typing import Any

import numpy as np

from models.importing.architecture import last_activation
from models.importing.errors import RefusedModel
from models.importing.foreign import inspect, replace_config
from models.importing.job import CONVERTED_FILE, INPUTS_FILE
from models.importing.memory import limit_memory, limit_memory_for_loading
from models.importing.onnx_copy import export_copy

_BATCH = 16
_TENSORFLOW_MEMORY_ERROR = "ResourceExhaustedError"
_PROBES = 4
"""How many frames of noise are scored, to check that all outputs are scores."""


def convert(folder: Path, file: Path, input_shape: tuple[int, int, int], *, with_onnx: bool = False) -> dict[str, Any]:
    """Convert the file and return plain values about the network; models.importing.convert.Conversion reads them.

    Raises RefusedModel. Images are scored only if the network accepts `input_shape`. They are scored with the network
    that is loaded again from the converted file. With `with_onnx`, this network is also exported as ONNX.
    """
    inspected = inspect(file)
    config = inspected.config
    replace_config(file, config)
    limit_memory(None)
    import keras  # noqa: PLC0415 - Keras must not be loaded before the file is inspected

    limit_memory_for_loading(inspected.weights_bytes)
    model = _load(keras, file)
    limit_memory(None)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise RefusedModel(
            f"The network has {len(model.inputs)} inputs and {len(model.outputs)} outputs; only one of each is "
            "supported. Ask the author of the model for a network with one image as input and one row of scores as "
            "output."
        )
    facts = {
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "input_shape": list(model.input_shape[1:]),
        "output_shape": list(model.output_shape[1:]),
        "parameters": int(model.count_params()),
        "activation": last_activation(config),
        "bad_weights": _bad_weights(model),
    }
    model.save(folder / CONVERTED_FILE)
    if facts["bad_weights"] or not _takes(model.input_shape[1:], input_shape):
        return facts
    written = keras.saving.load_model(folder / CONVERTED_FILE, compile=False, safe_mode=True)
    return facts | _answers(written, folder, input_shape, with_onnx=with_onnx)


def _load(keras: Any, file: Path) -> Any:
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == _TENSORFLOW_MEMORY_ERROR:
            raise RefusedModel(
                "The network needs more memory than an import may use for weights of this size. "
                "Ask the author of the model for a smaller network."
            ) from error
        raise RefusedModel(
            f"Keras {keras.__version__} cannot load the file ({type(error).__name__}): its weights do not fit its "
            "description, or another version of Keras wrote it. "
            "Ask the author of the model to save it as .keras with Keras 3."
        ) from error


def _bad_weights(model: Any) -> list[str]:
    """Return the names of at most three weights that contain NaN or infinity."""
    bad = [weight.path for weight in model.weights if not np.isfinite(_floats(weight)).all()]
    return [str(name)[:80] for name in bad[:3]]


def _floats(weight: Any) -> Any:
    values = np.asarray(weight.numpy())
    return values if values.dtype.kind in "fc" else values.astype(np.float32)


def _takes(found: tuple[int | None, ...], wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) and all(size in (None, asked) for size, asked in zip(found, wanted, strict=True))


def _answers(model: Any, folder: Path, shape: tuple[int, int, int], *, with_onnx: bool) -> dict[str, Any]:
    noise = np.random.default_rng(0).random((_PROBES, *shape), np.float32)
    inputs = np.concatenate([noise, noise * 255 - 128, np.zeros((1, *shape), np.float32)])
    probes = len(inputs)
    if (given := folder / INPUTS_FILE).is_file():
        inputs = np.concatenate([inputs, np.load(given, allow_pickle=False)])
    scores = _scores(model, inputs)
    answers = {"probes": scores[:probes].tolist(), "scores": scores[probes:].tolist()}
    return answers | {"onnx": export_copy(model, folder, shape, inputs, scores)} if with_onnx else answers


def _scores(model: Any, inputs: Any) -> Any:
    parts = [model.predict_on_batch(inputs[begin : begin + _BATCH]) for begin in range(0, len(inputs), _BATCH)]
    return np.concatenate(parts).astype(np.float64)
