"""Train a sequence head for a bundle, and write a new version of the bundle with this head."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.bundle import HEAD_KERAS_FILE, HEAD_ONNX_FILE, Bundle
from models.evaluation.operating import Policy, threshold
from models.evaluation.predictions import Predictions
from models.evaluation.series_predictions import series_predictions, slice_scores
from models.networks.scoring import Scored
from models.runtimes.added_onnx import TOLERANCE
from models.runtimes.onnx_export import ExportFailedError, export_onnx
from models.runtimes.onnx_library import onnx_runtime
from models.series.aggregates import Head
from models.series.spec import HEAD, MAX, SeriesSpec
from models.series_version import series_version
from models.training.fit_head import HeadRecipe, fit_head
from models.training.schedule import best_epoch

HEAD_TRAINING_FILE = "head_training.json"
"""The file that records how the head was trained. The digest of the bundle does not cover it."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class HeadRequest:
    """The bundle that gets a sequence head, and the data and recipe of the training."""

    bundle: Bundle
    version: str
    """The version of the bundle that gets the head."""
    folder: Path
    train: Scored
    """Scores of the slices of series, neither calibrated nor aggregated; each image is a series."""
    validation: Scored
    data: Mapping[str, Any]
    """A description of the data for the record."""
    recipe: HeadRecipe
    threshold_policy: str = "youden"


def train_head(request: HeadRequest) -> tuple[Bundle, dict[str, Any]]:
    """Train a head, and write a new version of `request.bundle` with this head into the new folder.

    Returns the new bundle and the record of training. Thresholds of the series are chosen on the validation part. The
    rules for series and the effect of a bad slice are copied from `request.bundle` (defaults if it has no series
    settings). Raises UsageFault if the version is not allowed or the folder exists, and StopWork if scores are not
    finite or the head cannot be used; nothing is written in these cases.
    """
    postprocessing = request.bundle.postprocessing
    model, history = fit_head(postprocessing, request.train, request.validation, request.recipe)
    spec = replace(request.bundle.series or SeriesSpec(aggregate=MAX), aggregate=HEAD, thresholds={})
    predictions = series_predictions(postprocessing, spec, request.validation, head_of(model))
    spec = replace(spec, thresholds=_thresholds(predictions, request.threshold_policy))
    with TemporaryDirectory() as name:
        stacks = [*slice_scores(postprocessing, request.validation)]
        files, exported = _save(model, Path(name), stacks)
        made = series_version(request.bundle, request.version, spec, request.folder, files)
    record = {
        "model": made.reference,
        "slices_scored_by": request.bundle.reference,
        "data": dict(request.data),
        "recipe": request.recipe.to_json() | {"threshold_policy": request.threshold_policy},
        "parameters": model.count_params(),
        "best_epoch": best_epoch(history["val_loss"]),
        "history": history,
        "onnx": exported,
        "versions": {package: version_of(package) for package in ("nightread", "keras", "numpy")},
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    (made.path / HEAD_TRAINING_FILE).write_text(text, encoding="utf-8")
    return made, record


def head_of(model: Any) -> Head:
    """Return a function that applies a Keras network to one stack: from (slices, labels) to (labels,)."""

    def head(scores: Scores) -> Scores:
        return np.asarray(keras.ops.convert_to_numpy(model(scores[None], training=False))[0], np.float32)

    return head


def _thresholds(predictions: Predictions, policy: str) -> dict[str, float]:
    """Return the threshold of each finding that some series have and other series do not have.

    For any other finding, the threshold of a slice applies. A softmax without a normal label has no thresholds: the
    highest label wins.
    """
    levels = {}
    for column, label in enumerate(predictions.labels):
        if predictions.exclusive and predictions.postprocessing.normal_label is None:
            continue
        found = threshold(predictions.truth[:, column], predictions.scores[:, column], Policy.parse(policy))
        if label in predictions.postprocessing.thresholds and found is not None:
            levels[label] = found
    return levels


def _save(model: Any, folder: Path, stacks: Sequence[Scores]) -> tuple[list[Path], dict[str, Any]]:
    """Write the files of a head, and return them with what the record says about the ONNX file.

    There is no ONNX file if the export fails, or if the exported file gives other scores for `stacks`.
    """
    files = [folder / HEAD_KERAS_FILE, folder / HEAD_ONNX_FILE]
    model.save(files[0])
    try:
        signature = export_onnx(model, files[1], (None, stacks[0].shape[1]))
        difference = _largest_difference(head_of(model), files[1], stacks)
    except ExportFailedError as error:
        return files[:1], {"exported": False, "reason": str(error)}
    return files, {"exported": True, "opset": signature.opset, "largest_difference": difference}


def _largest_difference(head: Head, file: Path, stacks: Sequence[Scores]) -> float:
    """Return the largest difference of scores between a head and its ONNX file, or raise ExportFailedError."""
    session = onnx_runtime().InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    largest = max(float(np.abs(session.run(None, {name: stack[None]})[0][0] - head(stack)).max()) for stack in stacks)
    if not largest <= TOLERANCE:
        raise ExportFailedError(f"the scores differ by up to {largest:.2g}")
    return largest
