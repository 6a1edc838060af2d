"""Train a sequence head: a network that turns the scores of the slices of a series into scores of the series."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from models.evaluation.series_predictions import slice_scores
from models.networks.scoring import Scored
from models.postprocessing import SIGMOID, Postprocessing
from models.training.checkpoint import History

_FIRST_SLICES, _SECOND_SLICES = 5, 3
"""The numbers of slices that the two convolutions span."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """How a sequence head is built and trained."""

    epochs: int = 60
    patience: int = 15
    """After this many epochs without a lower validation loss, the training ends and keeps the best epoch."""
    width: int = 16
    """The number of features of each convolution."""
    batch_size: int = 32
    learning_rate: float = 5e-3
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the record of the training."""
        return asdict(self)


def fit_head(
    postprocessing: Postprocessing, train: Scored, validation: Scored, recipe: HeadRecipe
) -> tuple[Any, History]:
    """Return a Keras network from (series, slices, labels) to (series, labels), and its learning curves.

    The network has two convolutions along the series and a global maximum, so it takes any number of slices. Each image
    of the parts is a series. Raises StopWork for scores of slices that are not finite.
    """
    keras.utils.set_random_seed(recipe.seed)
    activation = postprocessing.activation
    head, trained = _networks(len(postprocessing.labels), activation, recipe.width)
    loss = "binary_crossentropy" if activation == SIGMOID else "categorical_crossentropy"
    trained.compile(keras.optimizers.Adam(recipe.learning_rate), loss)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience, restore_best_weights=True)
    fitted = trained.fit(
        padded([*slice_scores(postprocessing, train)]),
        train.truth,
        validation_data=(padded([*slice_scores(postprocessing, validation)]), validation.truth),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        callbacks=[stop],
        verbose=0,
    )
    return head, {name: [float(value) for value in values] for name, values in fitted.history.items()}


def padded(stacks: Sequence[Scores]) -> tuple[Scores, Scores]:
    """Return the scores of all series, (series, slices, labels), padded with zeros; and which slices are real."""
    longest = max(len(stack) for stack in stacks)
    scores = np.zeros((len(stacks), longest, stacks[0].shape[1]), np.float32)
    exists = np.zeros((len(stacks), longest, 1), np.float32)
    for number, stack in enumerate(stacks):
        scores[number, : len(stack)] = stack
        exists[number, : len(stack)] = 1
    return scores, exists


def _networks(labels: int, activation: str, width: int) -> tuple[Any, Any]:
    """Return the head, and the same layers with a second input that says which slices exist.

    Both networks give the same scores for a series. The features of slices that do not exist are set to 0. A
    convolution also takes 0 beyond the ends of a series, and a 0 does not change the maximum, because no feature is
    below 0.
    """
    first = layers.Conv1D(width, _FIRST_SLICES, padding="same", activation="relu")
    second = layers.Conv1D(width, _SECOND_SLICES, padding="same", activation="relu")
    pool, output = layers.GlobalMaxPooling1D(), layers.Dense(labels, activation=activation)
    scores, exists = keras.Input((None, labels)), keras.Input((None, 1))
    head = keras.Model(scores, output(pool(second(first(scores)))))
    features = layers.Multiply()([first(scores), exists])
    features = layers.Multiply()([second(features), exists])
    return head, keras.Model((scores, exists), output(pool(features)))
