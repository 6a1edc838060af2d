"""From a data set and a recipe to a bundle with its figures: what is evaluated is what will be served."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from models.bundle import CARD_FILE, Bundle, load_bundle, save_bundle
from models.datasets.dataset import Dataset, Examples, portable
from models.evaluation.calibration import calibrate
from models.evaluation.measure import Evaluation, measure_images
from models.evaluation.mistakes import worst_mistakes
from models.evaluation.page import Material, write_evaluation
from models.evaluation.predictions import image_predictions
from models.networks.cnn import build_network
from models.networks.network import load_network
from models.networks.scoring import score
from models.training.checkpoint import FOLDER, Checkpoint, Progress
from models.training.fit import fit
from models.training.learning_curves import draw_learning_curves
from models.training.legacy_h5 import require_h5, save_h5
from models.training.prepared import decodable, in_memory, prepared_bytes
from models.training.recipe import AUTO, ON
from models.training.request import TrainingRequest
from models.training.training_record import Run, data_json, write_record
from nightread.errors import UsageFault

CURVES_FILE = "learning_curves.png"
_GIB = 2**30
_COPIES = 2
"""Keras makes its own of every array it trains on."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of a training."""

    bundle: Bundle
    evaluation: Evaluation
    """Of the test part."""
    run: Run


def train(request: TrainingRequest, *, resume: bool = False) -> Trained:
    """Train, calibrate on the validation part, evaluate once on the test part, and write all of it into the folder.

    After each epoch the state is kept in `checkpoint` below the folder. It goes when the bundle is complete; until
    then nothing else there changes. Raises UsageFault for what cannot be trained, StopWork where data or network
    break on the way.
    """
    model = _untrained(request)
    kept = Checkpoint(request.folder / FOLDER)
    progress = _begin(kept, request, resume=resume)
    begun = time.monotonic()
    parts, left_out = _ready((request.dataset.train, request.dataset.validation), request)
    preparing_seconds = time.monotonic() - begun
    history = fit(model, parts, request.recipe, kept=kept, progress=progress, listener=request.listener)
    run = Run(history=history, parameters=model.count_params(), left_out=left_out, preparing_seconds=preparing_seconds)
    stage = kept.folder / "bundle"
    bundle = _calibrated(request, _plain(request, model), parts[1], stage)
    evaluation = _evaluated(request, bundle)
    write_record(stage, request.dataset, request.recipe, run)
    draw_learning_curves(run.history, stage / CURVES_FILE, title=f"{request.card.reference}: {request.recipe.network}")
    return Trained(bundle=_delivered(stage, request.folder, kept), evaluation=evaluation, run=run)


def _untrained(request: TrainingRequest) -> Any:
    """The network; what cannot be built is found before any image is read."""
    recipe = request.recipe
    empty = [name for name, part in _parts(request.dataset).items() if not len(part)]
    if empty:
        raise UsageFault(f"data {request.dataset.reference}: the {empty[0]} part has no images")
    model = _network(request, mixed=recipe.mixed_precision == ON or (recipe.mixed_precision == AUTO and _has_gpu()))
    if request.also_h5:
        require_h5(_network(request, mixed=False), recipe.network)
    return model


def _begin(kept: Checkpoint, request: TrainingRequest, *, resume: bool) -> Progress:
    """Where to start from."""
    plan = {"recipe": request.recipe.to_json(), "data": data_json(request.dataset)}
    if resume:
        if not kept.exists():
            raise UsageFault(f"there is no unfinished training in {request.folder}: start without --resume")
        return kept.load(plan)
    try:
        kept.remove()
        kept.folder.mkdir(parents=True)
    except OSError as error:  # now rather than after the first epoch
        raise UsageFault(f"{request.folder} cannot be written ({type(error).__name__}): name another --out") from error
    return Progress(plan=plan, history={})


def _plain(request: TrainingRequest, trained: Any) -> Any:
    """The network in float32 and without its optimizer, which is two thirds of the file."""
    plain = _network(request, mixed=False)
    plain.set_weights(trained.get_weights())
    return plain


def _network(request: TrainingRequest, *, mixed: bool) -> Any:
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


def _ready(parts: Sequence[Examples], request: TrainingRequest) -> tuple[list[Examples], int]:
    """Parts without frames that cannot be decoded, and how many these are."""
    spec, listener = request.recipe.spec, request.listener
    fits = _COPIES * sum(prepared_bytes(part, spec) for part in parts) <= request.memory_gib * _GIB
    listener.stage("preparing images" if fits else "checking images", sum(len(part) for part in parts))
    ready, left_out = [], 0
    for part in parts:
        sound, unsound = in_memory(part, spec, listener.advance) if fits else decodable(part, spec, listener.advance)
        ready.append(sound)
        left_out += unsound
    if left_out:
        listener.remark(f"{left_out:,} frames cannot be decoded and were left out.")
    if not all(len(part) for part in ready):
        raise UsageFault(f"data {request.dataset.reference}: no image of a part can be decoded")
    return ready, left_out


def _calibrated(request: TrainingRequest, model: Any, validation: Examples, stage: Path) -> Bundle:
    """Saved, loaded as a worker loads it, and saved again with thresholds and temperature."""
    draft = save_bundle(request.card, stage, model.save)
    if request.also_h5:
        save_h5(model, stage, network=request.recipe.network, name=request.card.name)
    request.listener.stage("calibrating on the validation part", len(validation))
    scored = score(load_network(draft), validation, progress=request.listener.advance)
    return save_bundle(
        replace(draft, postprocessing=calibrate(draft.postprocessing, scored, policy=request.recipe.threshold_policy)),
        stage,
        lambda _: None,
    )


def _evaluated(request: TrainingRequest, bundle: Bundle) -> Evaluation:
    """The figures of the test part, which nothing before has looked at; evaluation.json and its page."""
    (test,), left_out = _ready((request.dataset.test,), request)
    request.listener.stage("evaluating on the test part", len(test))
    scored = score(load_network(load_bundle(bundle.path)), test, progress=request.listener.advance)
    predictions = image_predictions(bundle.postprocessing, scored)
    evaluation = measure_images(predictions, seed=request.recipe.seed)
    mistakes = worst_mistakes(predictions, scored, test, bundle.spec)
    material = _material(request.dataset, test, left_out)
    write_evaluation(
        bundle.path, evaluation, predictions=predictions, bundle=bundle, material=material, mistakes=mistakes
    )
    return evaluation


def _material(dataset: Dataset, test: Examples, left_out: int) -> Material:
    return Material(
        reference=portable(dataset.reference),
        part="test",
        split=dataset.split,
        images=test.images,
        frames=len(test),
        patients=None if test.patients is None else len(set(test.patients.tolist())),
        unreadable={reason.value: files for reason, files in dataset.unreadable.items()},
        undecodable_frames=left_out,
    )


def _delivered(stage: Path, folder: Path, kept: Checkpoint) -> Bundle:
    """Into its place, bundle.json last and an older one first: a folder without it is no bundle."""
    (folder / CARD_FILE).unlink(missing_ok=True)
    for path in sorted(stage.iterdir(), key=lambda path: path.name == CARD_FILE):
        path.replace(folder / path.name)
    kept.remove()
    return load_bundle(folder)


def _parts(dataset: Dataset) -> dict[str, Examples]:
    return {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
