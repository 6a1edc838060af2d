"""A Keras network, trained by a recipe from epoch to epoch, each of which is kept."""

import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.datasets.dataset import Examples
from models.networks.network import compile_by_xla
from models.postprocessing import SOFTMAX
from models.training.checkpoint import Checkpoint, History, Progress
from models.training.feed import Feed
from models.training.listener import Listener
from models.training.prepared import PreparedExamples
from models.training.recipe import ADAMW, COSINE, PLATEAU, Recipe
from models.training.schedule import best_epoch, is_exhausted, plateau_rate
from nightread.errors import StopWork


def fit(
    model: Any,
    parts: Sequence[Examples],
    recipe: Recipe,
    *,
    kept: Checkpoint,
    progress: Progress,
    listener: Listener,
) -> History:
    """Train on the first part and watch the second.

    Run the epochs that `progress` has not yet; the model ends with its last weights, or its best with `patience`.

    Raises StopWork where the loss is no number any more, or a frame cannot be read that could be read before.
    """
    train, validation = parts
    _compile(model, recipe, steps=math.ceil(len(train) / recipe.batch_size))
    if progress.epochs:
        model.optimizer.build(model.trainable_variables)
        model.load_weights(kept.weights(progress.epochs))
    keras.utils.set_random_seed(recipe.seed + progress.epochs)  # not the order of the first epoch again
    losses = progress.history.get("val_loss", [])
    if progress.epochs < recipe.epochs and not is_exhausted(losses, recipe.patience):
        watcher = _Epochs(recipe, kept, progress, listener)
        _run(model, train, validation, recipe, progress.epochs, watcher)
    best = best_epoch(progress.history["val_loss"])
    if recipe.patience is not None and best not in (0, progress.epochs):
        model.load_weights(kept.weights(best))
    return progress.history


def balancing_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per frame of (frames, labels) one-hot: frames / (labels * frames of its label); the mean is 1."""
    counts = targets.sum(axis=0)
    weights = len(targets) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.asarray(weights[targets.argmax(axis=1)], np.float32)


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps, tells and ends: all that happens between two epochs."""

    async_safe = True
    """It reads no value of a batch, so Keras need not wait for the device after each one."""

    def __init__(self, recipe: Recipe, kept: Checkpoint, progress: Progress, listener: Listener) -> None:
        super().__init__()
        self._recipe = recipe
        self._kept = kept
        self._progress = progress
        self._listener = listener
        self._begun = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - the signature is Keras'
        """`epoch` counts from 0."""
        if self._recipe.schedule == PLATEAU:
            losses = self._progress.history.get("val_loss", [])
            self.model.optimizer.learning_rate = plateau_rate(self._recipe.learning_rate, losses)
        self._listener.stage(f"epoch {epoch + 1}/{self._recipe.epochs}", self.params["steps"])
        self._begun = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """One step of the bar."""
        self._listener.advance(1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the epoch; the next one may never be finished."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = time.monotonic() - self._begun
        figures = {**(logs or {}), "learning_rate": rate, "seconds": seconds}
        if not math.isfinite(figures["loss"]):
            raise StopWork(f"the loss of epoch {epoch + 1} is no number: lower the learning rate, then train anew.")
        history = self._progress.history
        for name, value in figures.items():
            history.setdefault(name, []).append(float(value))
        self._kept.save(self.model, self._progress, best=best_epoch(history["val_loss"]))
        self._listener.epoch(epoch + 1, self._recipe.epochs, figures)
        self.model.stop_training = is_exhausted(history["val_loss"], self._recipe.patience)


def _compile(model: Any, recipe: Recipe, *, steps: int) -> None:
    rate: Any = recipe.learning_rate
    if recipe.schedule == COSINE:
        rate = keras.optimizers.schedules.CosineDecay(rate, recipe.epochs * steps)
    optimizer = keras.optimizers.AdamW if recipe.optimizer == ADAMW else keras.optimizers.Adam
    softmax = model.layers[-1].activation is keras.activations.get(SOFTMAX)
    model.compile(
        optimizer(rate),
        "categorical_crossentropy" if softmax else "binary_crossentropy",
        metrics=["accuracy" if softmax else "binary_accuracy"],
        jit_compile=compile_by_xla(),
    )


def _run(model: Any, train: Examples, validation: Examples, recipe: Recipe, done: int, watcher: _Epochs) -> None:
    """Arrays go to Keras as they are: no feed of ours is as fast."""
    weights = balancing_weights(train.frame_truth) if recipe.class_weights else None
    feeds = []
    if isinstance(train, PreparedExamples) and not recipe.augmentation.changes_anything:
        data = {"x": train.prepared, "y": train.frame_truth, "sample_weight": weights, "shuffle": True}
    else:
        feeds.append(Feed(train, recipe, training=True, first_epoch=done, weights=weights))
        data = {"x": feeds[-1], "shuffle": False}
    if isinstance(validation, PreparedExamples):
        unseen: Any = (validation.prepared, validation.frame_truth)
    else:
        feeds.append(Feed(validation, recipe, training=False))
        unseen = feeds[-1]
    try:
        model.fit(
            **data,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            initial_epoch=done,
            validation_data=unseen,
            callbacks=[watcher],
            verbose=0,
        )
    except Exception as error:
        for trouble in (feed.trouble for feed in feeds if feed.trouble):
            raise StopWork(f"an image of the data set cannot be read any more: {trouble.detail}") from error
        raise
