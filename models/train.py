"""From a data set and a recipe to a bundle with its figures: what is evaluated is what will be served."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from models.bundle import CARD_FILE, Bundle, load_bundle, save_bundle
from models.checkpoint import FOLDER, Checkpoint, Progress
from models.cnn import build_network
from models.datasets.dataset import Dataset, Examples, portable
from models.evaluation.calibration import calibrate
from models.evaluation.judged import judge
from models.evaluation.measure import Evaluation, measure_images
from models.evaluation.mistakes import worst_mistakes
from models.evaluation.page import Material, write_evaluation
from models.fit import fit
from models.learning_curves import draw_learning_curves
from models.legacy_h5 import require_h5, save_h5
from models.network import load_network
from models.order import Order
from models.prepared import decodable, in_memory, prepared_bytes
from models.recipe import AUTO, ON
from models.scoring import score
from models.training_record import Run, data_json, write_record
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


def train(order: Order, *, resume: bool = False) -> Trained:
    """Train, calibrate on the validation part, evaluate once on the test part, and write all of it into the folder.

    After each epoch the state is kept in `checkpoint` below the folder. It goes when the bundle is complete; until
    then nothing else there changes. Raises UsageFault for what cannot be trained, StopWork where data or network
    break on the way.
    """
    model = _untrained(order)
    kept = Checkpoint(order.folder / FOLDER)
    progress = _begin(kept, order, resume=resume)
    begun = time.monotonic()
    parts, left_out = _ready((order.dataset.train, order.dataset.validation), order)
    preparing_seconds = time.monotonic() - begun
    history = fit(model, parts, order.recipe, kept=kept, progress=progress, listener=order.listener)
    run = Run(history=history, parameters=model.count_params(), left_out=left_out, preparing_seconds=preparing_seconds)
    stage = kept.folder / "bundle"
    bundle = _calibrated(order, _plain(order, model), parts[1], stage)
    evaluation = _evaluated(order, bundle)
    write_record(stage, order.dataset, order.recipe, run)
    draw_learning_curves(run.history, stage / CURVES_FILE, title=f"{order.card.reference}: {order.recipe.network}")
    return Trained(bundle=_delivered(stage, order.folder, kept), evaluation=evaluation, run=run)


def _untrained(order: Order) -> Any:
    """The network; what cannot be built is found before any image is read."""
    recipe = order.recipe
    empty = [name for name, part in _parts(order.dataset).items() if not len(part)]
    if empty:
        raise UsageFault(f"data {order.dataset.reference}: the {empty[0]} part has no images")
    model = _network(order, mixed=recipe.mixed_precision == ON or (recipe.mixed_precision == AUTO and _has_gpu()))
    if order.also_h5:
        require_h5(_network(order, mixed=False), recipe.network)
    return model


def _begin(kept: Checkpoint, order: Order, *, resume: bool) -> Progress:
    """Where to start from."""
    plan = {"recipe": order.recipe.to_json(), "data": data_json(order.dataset)}
    if resume:
        if not kept.exists():
            raise UsageFault(f"there is no unfinished training in {order.folder}: start without --resume")
        return kept.load(plan)
    try:
        kept.remove()
        kept.folder.mkdir(parents=True)
    except OSError as error:  # now rather than after the first epoch
        raise UsageFault(f"{order.folder} cannot be written ({type(error).__name__}): name another --out") from error
    return Progress(plan=plan, history={})


def _plain(order: Order, trained: Any) -> Any:
    """The network in float32 and without its optimizer, which is two thirds of the file."""
    plain = _network(order, mixed=False)
    plain.set_weights(trained.get_weights())
    return plain


def _network(order: Order, *, mixed: bool) -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        return build_network(
            order.recipe.network,
            order.recipe.spec.shape,
            len(order.dataset.labels),
            order.card.verdict.activation,
            weights=order.pretrained,
            seed=order.recipe.seed,
        )
    finally:
        keras.config.set_dtype_policy(before)


def _has_gpu() -> bool:
    return any(device.startswith(("gpu", "cuda")) for device in keras.distribution.list_devices())


def _ready(parts: Sequence[Examples], order: Order) -> tuple[list[Examples], int]:
    """Parts without frames that cannot be decoded, and how many these are."""
    spec, listener = order.recipe.spec, order.listener
    fits = _COPIES * sum(prepared_bytes(part, spec) for part in parts) <= order.memory_gib * _GIB
    listener.stage("preparing images" if fits else "checking images", sum(len(part) for part in parts))
    ready, left_out = [], 0
    for part in parts:
        sound, unsound = in_memory(part, spec, listener.advance) if fits else decodable(part, spec, listener.advance)
        ready.append(sound)
        left_out += unsound
    if left_out:
        listener.remark(f"{left_out:,} frames cannot be decoded and were left out.")
    if not all(len(part) for part in ready):
        raise UsageFault(f"data {order.dataset.reference}: no image of a part can be decoded")
    return ready, left_out


def _calibrated(order: Order, model: Any, validation: Examples, stage: Path) -> Bundle:
    """Saved, loaded as a worker loads it, and saved again with thresholds and temperature."""
    draft = save_bundle(order.card, stage, model.save)
    if order.also_h5:
        save_h5(model, stage, network=order.recipe.network, name=order.card.name)
    order.listener.stage("calibrating on the validation part", len(validation))
    scored = score(load_network(draft), validation, progress=order.listener.advance)
    return save_bundle(
        replace(draft, verdict=calibrate(draft.verdict, scored, policy=order.recipe.threshold_policy)),
        stage,
        lambda _: None,
    )


def _evaluated(order: Order, bundle: Bundle) -> Evaluation:
    """The figures of the test part, which nothing before has looked at; evaluation.json and its page."""
    (test,), left_out = _ready((order.dataset.test,), order)
    order.listener.stage("evaluating on the test part", len(test))
    scored = score(load_network(load_bundle(bundle.path)), test, progress=order.listener.advance)
    judged = judge(bundle.verdict, scored)
    evaluation = measure_images(judged, seed=order.recipe.seed)
    mistakes = worst_mistakes(judged, scored, test, bundle.spec)
    material = _material(order.dataset, test, left_out)
    write_evaluation(bundle.path, evaluation, judged=judged, bundle=bundle, material=material, mistakes=mistakes)
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
