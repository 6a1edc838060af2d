"""Train a network, save it as a bundle, and evaluate this bundle."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras

from models.bundle import CARD_FILE, TRAINING_PAGE_FILE, Bundle, load_bundle, save_bundle
from models.datasets.dataset import Dataset, Examples, portable
from models.datasets.warnings import leak_warnings
from models.drift_reference import reference_of_examples, write_reference
from models.evaluation.calibration import calibrate
from models.evaluation.measure import Evaluation, measure_images
from models.evaluation.mistakes import worst_mistakes
from models.evaluation.page import Material, write_evaluation
from models.evaluation.predictions import image_predictions
from models.networks.cnn import build_network
from models.networks.scoring import score, scored_batches
from models.runtimes.added_onnx import add_onnx
from models.runtimes.keras_network import load_keras_network
from models.training.checkpoint import FOLDER, Checkpoint, Progress
from models.training.fit import fit
from models.training.learning_curves import CURVES_FILE, draw_learning_curves
from models.training.legacy_h5 import require_h5, save_h5
from models.training.out_folder import require_free, reserved
from models.training.prepared import decodable, in_memory, prepared_bytes
from models.training.recipe import AUTO, ON
from models.training.request import TrainingRequest
from models.training.runs import training_runs
from models.training.runs_page import write_run
from models.training.training_domain import training_domain
from models.training.training_record import Run, data_json, write_record
from nightread.errors import UsageFault

_GIB = 2**30
_COPIES = 2
"""How many copies of the prepared images are in memory: Keras copies each array that it trains on."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The result of a training."""

    bundle: Bundle
    evaluation: Evaluation
    """The figures of the test part."""
    run: Run


def train(request: TrainingRequest, *, resume: bool = False, overwrite: bool = False) -> TrainingResult:
    """Train, calibrate on the validation part, evaluate on the test part, and write the bundle into the folder.

    After each epoch the state is saved in the sub-folder `checkpoint`. The sub-folder is deleted when the bundle is
    complete; until then nothing else in the folder changes. Raises UsageFault if the request cannot be trained, if
    another training writes into the folder, or if the folder has content that neither `resume` nor `overwrite` allows.
    Raises StopWork if data or network fail during the training.
    """
    require_free(request.folder, resume=resume, overwrite=overwrite)
    model = _build_untrained(request)
    with reserved(request.folder):
        require_free(request.folder, resume=resume, overwrite=overwrite)  # a training may have ended meanwhile
        return _train(request, model, resume=resume)


def _train(request: TrainingRequest, model: Any, *, resume: bool) -> TrainingResult:
    checkpoint = Checkpoint(request.folder / FOLDER)
    progress = _start_or_resume(checkpoint, request, resume=resume)
    request.listener.begin(progress, checkpoint.folder)
    started = time.monotonic()
    parts, left_out = _prepare_parts((request.dataset.train, request.dataset.validation), request)
    preparing_seconds = time.monotonic() - started
    history = fit(model, parts, request.recipe, checkpoint=checkpoint, progress=progress, listener=request.listener)
    run = Run(
        history=history,
        parameters=model.count_params(),
        left_out=left_out,
        preparing_seconds=preparing_seconds,
        model=request.card.reference,
        started_at=progress.started_at or None,
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    staging = checkpoint.folder / "bundle"
    card = replace(request.card, domain=training_domain(request, parts[0]))
    bundle, exported = _save_calibrated(replace(request, card=card), _float32_copy(request, model), parts[1], staging)
    evaluation = _evaluate(request, bundle)
    write_record(staging, request.dataset, request.recipe, run, onnx=exported)
    title = f"{request.card.reference}: {request.recipe.network}"
    draw_learning_curves(run.history, staging / CURVES_FILE, title=title)
    (recorded,) = training_runs([staging])
    write_run(replace(recorded, folder=request.folder), staging / TRAINING_PAGE_FILE)
    trained = TrainingResult(
        bundle=_move_into_place(staging, request.folder, checkpoint), evaluation=evaluation, run=run
    )
    request.listener.end(request.folder)
    return trained


def _build_untrained(request: TrainingRequest) -> Any:
    """Return the untrained network. Raises UsageFault before any image is read."""
    recipe = request.recipe
    empty = [name for name, part in _parts(request.dataset).items() if not len(part)]
    if empty:
        raise UsageFault(f"data {request.dataset.reference}: the {empty[0]} part has no images. Add images to it.")
    model = _build(request, mixed=recipe.mixed_precision == ON or (recipe.mixed_precision == AUTO and _has_gpu()))
    if request.also_h5:
        require_h5(_build(request, mixed=False), recipe.network)
    return model


def _start_or_resume(checkpoint: Checkpoint, request: TrainingRequest, *, resume: bool) -> Progress:
    """Return the saved progress, or an empty one with a new checkpoint folder. Raises UsageFault."""
    plan = {"recipe": request.recipe.to_json(), "data": data_json(request.dataset)}
    if resume:
        return checkpoint.load(plan)
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    progress = Progress(plan=plan, history={}, model=request.card.reference, started_at=started_at)
    checkpoint.begin(progress)
    return progress


def _float32_copy(request: TrainingRequest, trained: Any) -> Any:
    """Return the network in float32 and without its optimizer, which would be two thirds of the file."""
    copy = _build(request, mixed=False)
    copy.set_weights(trained.get_weights())
    return copy


def _build(request: TrainingRequest, *, mixed: bool) -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        return build_network(
            request.recipe.network,
            request.recipe.spec.shape,
            len(request.dataset.labels),
            request.card.postprocessing.activation,
            weights=request.pretrained,
            seed=request.recipe.seed,
        )
    finally:
        keras.config.set_dtype_policy(before)


def _has_gpu() -> bool:
    return any(device.startswith(("gpu", "cuda")) for device in keras.distribution.list_devices())


def _prepare_parts(parts: Sequence[Examples], request: TrainingRequest) -> tuple[list[Examples], int]:
    """Return the parts without undecodable frames, and the number of such frames.

    Raises UsageFault if a part is empty.
    """
    spec, listener = request.recipe.spec, request.listener
    fits = _COPIES * sum(prepared_bytes(part, spec) for part in parts) <= request.memory_gib * _GIB
    listener.stage("preparing images" if fits else "checking images", sum(len(part) for part in parts))
    ready, left_out = [], 0
    for part in parts:
        kept, undecodable = in_memory(part, spec, listener.advance) if fits else decodable(part, spec, listener.advance)
        ready.append(kept)
        left_out += undecodable
    if left_out:
        frames = "1 frame" if left_out == 1 else f"{left_out:,} frames"
        listener.remark(f"{frames} could not be decoded and will not be used.")
    if not all(len(part) for part in ready):
        raise UsageFault(
            f"data {request.dataset.reference}: one part has no image that can be decoded. Check its files."
        )
    return ready, left_out


def _save_calibrated(
    request: TrainingRequest, model: Any, validation: Examples, staging: Path
) -> tuple[Bundle, dict[str, Any]]:
    """Save the bundle, load it as a worker does, calibrate it, and save it with thresholds and temperature.

    Then add the ONNX file, and return the bundle and what training.json says about the export.
    """
    draft = save_bundle(request.card, staging, model.save)
    if request.also_h5:
        save_h5(model, staging, network=request.recipe.network, name=request.card.name)
    request.listener.stage("calibrating on the validation part", len(validation))
    network = load_keras_network(draft)
    scored = score(network, validation, progress=request.listener.advance)
    postprocessing = calibrate(draft.postprocessing, scored, policy=request.recipe.threshold_policy)
    network.bundle = save_bundle(replace(draft, postprocessing=postprocessing), staging)
    predictions = image_predictions(postprocessing, scored)
    write_reference(staging, reference_of_examples(validation, predictions, draft.spec))
    request.listener.stage("exporting as ONNX, comparing on the validation part", len(validation))
    bundle, exported = add_onnx(network, scored_batches(validation, scored, draft.spec, request.listener.advance))
    if not exported["exported"]:
        request.listener.remark(f"The model has no ONNX file and will be served by Keras: {exported['reason']}.")
    return bundle, exported


def _evaluate(request: TrainingRequest, bundle: Bundle) -> Evaluation:
    """Evaluate the bundle on the test part, which was not used before, and write evaluation.json and its page."""
    (test,), left_out = _prepare_parts((request.dataset.test,), request)
    request.listener.stage("evaluating on the test part", len(test))
    scored = score(load_keras_network(load_bundle(bundle.path)), test, progress=request.listener.advance)
    predictions = image_predictions(bundle.postprocessing, scored)
    evaluation = measure_images(predictions, seed=request.recipe.seed)
    mistakes = worst_mistakes(predictions, scored, test, bundle.spec)
    material = _describe_data(request.dataset, test, left_out)
    write_evaluation(
        bundle.path, evaluation, predictions=predictions, bundle=bundle, material=material, mistakes=mistakes
    )
    return evaluation


def _describe_data(dataset: Dataset, test: Examples, left_out: int) -> Material:
    return Material(
        reference=portable(dataset.reference),
        part="test",
        split=dataset.split,
        images=test.images,
        frames=len(test),
        patients=None if test.patients is None else len(set(test.patients.tolist())),
        unreadable={reason.value: files for reason, files in dataset.unreadable.items()},
        undecodable_frames=left_out,
        refused_series={reason.value: series for reason, series in dataset.refused_series.items()},
        warnings=leak_warnings(dataset),
    )


def _move_into_place(staging: Path, folder: Path, checkpoint: Checkpoint) -> Bundle:
    """Move the finished files into the folder of the bundle.

    An older bundle.json is deleted first and the new one is moved last. A folder without bundle.json is not a bundle,
    so an interruption never leaves a bundle of old and new files.
    """
    (folder / CARD_FILE).unlink(missing_ok=True)
    for path in sorted(staging.iterdir(), key=lambda path: path.name == CARD_FILE):
        path.replace(folder / path.name)
    checkpoint.remove()
    return load_bundle(folder)


def _parts(dataset: Dataset) -> dict[str, Examples]:
    return {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
