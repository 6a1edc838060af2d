"""Train a Keras network by a recipe and save a checkpoint after each epoch."""

import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.datasets.dataset import Examples
from models.postprocessing import SOFTMAX
from models.runtimes.keras_network import compile_by_xla
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
    checkpoint: Checkpoint,
    progress: Progress,
    listener: Listener,
) -> History:
    """Train on the first part, validate on the second, and return the history of all epochs.

    Only epochs that `progress` does not contain are run. At the end `model` has the weights of the last epoch, or with
    `patience` the weights of the best epoch. Raises StopWork if the loss is NaN or infinite, or if a frame can no
    longer be read.
    """
    train, validation = parts
    _compile(model, recipe, steps=math.ceil(len(train) / recipe.batch_size))
    if progress.epochs:
        model.optimizer.build(model.trainable_variables)
        model.load_weights(checkpoint.weights(progress.epochs))
    # A resumed training must not repeat the order of the first epoch.
    keras.utils.set_random_seed(recipe.seed + progress.epochs)
    losses = progress.history.get("val_loss", [])
    if progress.epochs < recipe.epochs and not is_exhausted(losses, recipe.patience):
        callback = _EpochCallback(recipe, checkpoint, progress, listener)
        _run_epochs(model, train, validation, recipe, progress.epochs, callback)
    best = best_epoch(progress.history["val_loss"])
    if recipe.patience is not None and best not in (0, progress.epochs):
        model.load_weights(checkpoint.weights(best))
    return progress.history


def balancing_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a weight for each frame, (frames,), so that each label has the same weight in the loss.

    For one-hot `targets`, (frames, labels), it is frames / (labels * frames of the label). The mean weight is 1.
    """
    counts = targets.sum(axis=0)
    weights = len(targets) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.asarray(weights[targets.argmax(axis=1)], np.float32)


class _EpochCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate, saves the checkpoint, calls the listener, and stops when `patience` is exhausted."""

    async_safe = True
    """Keras option: no value of a single batch is read here, so Keras need not wait for the device after each batch."""

    def __init__(self, recipe: Recipe, checkpoint: Checkpoint, progress: Progress, listener: Listener) -> None:
        super().__init__()
        self._recipe = recipe
        self._checkpoint = checkpoint
        self._progress = progress
        self._listener = listener
        self._begun = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - the signature is Keras'
        """Set the learning rate and begin a stage of the listener; `epoch` counts from 0."""
        if self._recipe.schedule == PLATEAU:
            losses = self._progress.history.get("val_loss", [])
            self.model.optimizer.learning_rate = plateau_rate(self._recipe.learning_rate, losses)
        self._listener.stage(f"epoch {epoch + 1}/{self._recipe.epochs}", self.params["steps"])
        self._begun = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Advance the stage of the listener by one batch."""
        self._listener.advance(1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the epoch, because the next epoch may never finish. Raises StopWork if the loss is NaN or infinite."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = time.monotonic() - self._begun
        figures = {**(logs or {}), "learning_rate": rate, "seconds": seconds}
        if not math.isfinite(figures["loss"]):
            raise StopWork(
                f"the loss of epoch {epoch + 1} is NaN or infinite: lower the learning rate and start again."
            )
        history = self._progress.history
        for name, value in figures.items():
            history.setdefault(name, []).append(float(value))
        self._checkpoint.save(self.model, self._progress, best=best_epoch(history["val_loss"]))
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


def _run_epochs(
    model: Any, train: Examples, validation: Examples, recipe: Recipe, done: int, callback: _EpochCallback
) -> None:
    """Call `fit` of Keras. Prepared arrays are passed unchanged, because a Feed would be slower."""
    weights = balancing_weights(train.frame_truth) if recipe.class_weights else None
    feeds = []
    if isinstance(train, PreparedExamples) and not recipe.augmentation.changes_anything:
        data = {"x": train.prepared, "y": train.frame_truth, "sample_weight": weights, "shuffle": True}
    else:
        feeds.append(Feed(train, recipe, training=True, first_epoch=done, weights=weights))
        data = {"x": feeds[-1], "shuffle": False}
    if isinstance(validation, PreparedExamples):
        validation_data: Any = (validation.prepared, validation.frame_truth)
    else:
        feeds.append(Feed(validation, recipe, training=False))
        validation_data = feeds[-1]
    try:
        model.fit(
            **data,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            initial_epoch=done,
            validation_data=validation_data,
            callbacks=[callback],
            verbose=0,
        )
    except Exception as error:
        for cause in (feed.error for feed in feeds if feed.error):
            raise StopWork(f"an image of the data set can no longer be read: {cause.detail}") from error
        raise
