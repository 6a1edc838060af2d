"""Decode or augment training batches in threads while the network trains."""

import math
import os
import threading
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.datasets.dataset import Examples
from models.training.augment import augmented
from models.training.recipe import Recipe
from nightread.errors import ImageError


class Feed(keras.utils.PyDataset):  # type: ignore[misc]
    """One part of a data set as batches of (inputs, targets[, weights]).

    For training, each epoch has another order and another augmentation. Both depend only on the seed and the number of
    the epoch, so that neither threads nor a resumed training change them.
    """

    def __init__(
        self,
        examples: Examples,
        recipe: Recipe,
        *,
        training: bool,
        first_epoch: int = 0,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        """Prepare the first epoch. `weights`, (frames,), are factors in the loss; None means 1 for all frames."""
        workers = max(2, len(os.sched_getaffinity(0)))  # with one worker, the network would wait for each batch
        super().__init__(workers=workers, max_queue_size=2 * workers)
        self.error: ImageError | None = None
        """The first error of a batch. Keras wraps it so that its type and text are lost."""
        self._examples = examples
        self._recipe = recipe
        self._training = training
        self._targets = examples.frame_truth
        self._weights = weights
        self._epoch = first_epoch
        self._lock = threading.Lock()
        self._order = self._shuffled()

    def __len__(self) -> int:
        """Return the number of batches in an epoch; the last one may be smaller."""
        return math.ceil(len(self._examples) / self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], ...]:
        """Return batch `index` of this epoch. Raises ImageError, and stores it in `error`, for an undecodable frame."""
        size = self._recipe.batch_size
        rows = self._order[index * size : (index + 1) * size]
        try:
            inputs = self._examples.inputs(rows, self._recipe.spec)
        except ImageError as error:
            with self._lock:
                self.error = self.error or error
            raise
        if self._training and self._recipe.augmentation.changes_anything:
            rng = np.random.default_rng((self._recipe.seed, self._epoch, index))
            inputs = augmented(inputs, self._recipe.augmentation, self._recipe.spec, rng)
        batch = (inputs, self._targets[rows])
        return batch if self._weights is None else (*batch, self._weights[rows])

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch while the threads of Keras are stopped: when an epoch begins, they already run."""
        self._epoch += 1
        self._order = self._shuffled()

    def _shuffled(self) -> NDArray[Any]:
        count = len(self._examples)
        if not self._training:
            return np.arange(count)
        return np.random.default_rng((self._recipe.seed, self._epoch)).permutation(count)
