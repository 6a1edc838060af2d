"""Add an ONNX file to a bundle that has a Keras file, if both files give the same scores."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import ONNX_FILE, Bundle, save_bundle
from models.postprocessing import Postprocessing
from models.runtimes.keras_network import KerasNetwork
from models.runtimes.network import Network
from models.runtimes.onnx_export import ExportFailedError, export_onnx
from models.runtimes.onnx_library import onnx_runtime
from models.runtimes.onnx_network import load_onnx_network
from nightread.errors import StopWork

TOLERANCE = 1e-4
"""The largest allowed difference of a score between the runtimes."""
_PROBES = 8

Array = NDArray[np.float32]
Scored = tuple[Array, Array]
"""Prepared frames, (n, height, width, channels), and the scores that Keras gives them, (n, labels)."""


def add_onnx(network: KerasNetwork, examples: Iterable[Scored] = ()) -> tuple[Bundle, dict[str, Any]]:
    """Export the network into the folder of its bundle, and return the new bundle and a record for training.json.

    The network and its ONNX file are compared on noise and on `examples`: scores must agree within TOLERANCE, and each
    frame must have the same label. If the export or the comparison fails, the bundle stays as it is and the record says
    why.
    """
    bundle = network.bundle
    try:
        signature = export_onnx(network.model, bundle.onnx_file, bundle.spec.shape)
        added = save_bundle(replace(bundle, onnx=signature), bundle.path)
        onnx_network = load_onnx_network(added, threads=0)
        noise, frames = _noise(bundle), 0
        largest = _compared(onnx_network, noise, network.batch_scores(noise))
        for inputs, scores in examples:
            largest = max(largest, _compared(onnx_network, inputs, scores))
            frames += len(inputs)
    except (ExportFailedError, StopWork) as error:
        (bundle.path / ONNX_FILE).unlink(missing_ok=True)
        return save_bundle(replace(bundle, onnx=None), bundle.path), {"exported": False, "reason": str(error)}
    record = {
        "exported": True,
        "opset": signature.opset,
        "versions": versions(),
        "compared": {"noise": len(noise), "frames": frames, "largest_difference": largest},
    }
    return added, record


def versions() -> dict[str, str]:
    """Return the versions of the installed packages that export and run ONNX files.

    ONNX Runtime comes in packages of several names (`onnxruntime-gpu`), and only TensorFlow needs tf2onnx.
    """
    found = {"onnxruntime": str(onnx_runtime().__version__)}
    for name in ("keras", "onnx", "tf2onnx"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _noise(bundle: Bundle) -> Array:
    shape = bundle.spec.shape
    noise = np.random.default_rng(0).random((_PROBES, *shape), np.float32)
    return np.concatenate([noise, noise * 255 - 128, np.zeros((1, *shape), np.float32)])


def _compared(network: Network, inputs: Array, expected: Array) -> float:
    """Return the largest difference of a score. Raises ExportFailedError."""
    scores = network.batch_scores(inputs)
    difference = float(np.abs(scores - expected).max(initial=0))
    if not difference <= TOLERANCE:  # also for NaN
        raise ExportFailedError(f"scores of Keras and ONNX Runtime differ by {difference:.2g}")
    postprocessing = network.bundle.postprocessing
    if _labels(postprocessing, scores) != _labels(postprocessing, expected):
        raise ExportFailedError("labels by Keras and ONNX Runtime differ for some frames")
    return difference


def _labels(postprocessing: Postprocessing, scores: Array) -> list[str | None]:
    return [result and result.label for result in postprocessing.image_results(scores)]
