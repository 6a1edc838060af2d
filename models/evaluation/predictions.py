"""Hold the predictions for images together with their truth; all figures are computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.networks.scoring import Scored
from models.postprocessing import SIGMOID, SOFTMAX, VOTE, ImageResult, Postprocessing
from nightread.errors import StopWork

NONE = "none"
"""The name in tables for images without a label."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions per image, from a data set or from the database, with the true labels."""

    postprocessing: Postprocessing
    truth: NDArray[np.bool_]
    """(images, labels): whether the image has the label."""
    scores: NDArray[np.float64]
    """(images, labels): calibrated and aggregated scores."""
    given: NDArray[np.int64]
    """(images,): position in `names` of the label that was assigned to the image."""
    patients: NDArray[np.int64] | None = None
    """(images,): the same number for images of one patient; None if the patients are not known."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels of the columns of `truth` and `scores`."""
        return self.postprocessing.labels

    @property
    def exclusive(self) -> bool:
        """Return True if each image has one label (softmax), False if it can have several findings (sigmoid)."""
        return self.postprocessing.activation == SOFTMAX

    @property
    def names(self) -> tuple[str, ...]:
        """Return the labels, followed by the name for images that have none of them."""
        normal = self.postprocessing.normal_label
        return (*self.labels, NONE if normal is None or normal in self.labels else normal)

    @cached_property
    def true(self) -> NDArray[np.int64]:
        """Return the position in `names` of the true label, (images,); of several true labels, the first one counts."""
        return np.asarray(np.where(self.truth.any(axis=1), self.truth.argmax(axis=1), len(self.labels)))

    @cached_property
    def assigned(self) -> NDArray[np.bool_]:
        """Return whether each label was assigned, (images, labels).

        For sigmoid, a label is assigned if its score reached its threshold.
        """
        one_each: NDArray[np.bool_] = self.given[:, None] == np.arange(len(self.labels))
        if self.postprocessing.activation != SIGMOID or self.postprocessing.aggregate == VOTE:
            return one_each
        levels = [self.postprocessing.thresholds.get(label) for label in self.labels]
        # The threshold of the normal label becomes NaN, which no score reaches. Scores are float32 as in results.
        reached = self.scores.astype(np.float32) >= np.array(levels, np.float32)
        normal = np.array([level is None for level in levels])
        return np.asarray(np.where(normal, one_each, reached), bool)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Return whether the assigned labels are exactly the true labels, (images,)."""
        if self.exclusive:
            return np.asarray(self.given == self.true)
        return np.asarray((self.assigned == self.truth).all(axis=1))


def image_predictions(postprocessing: Postprocessing, scored: Scored) -> Predictions:
    """Compute the predictions for the images of a data set. Raises StopWork for scores that are not finite."""
    if not np.isfinite(scored.scores).all():
        raise StopWork(
            "The network returned NaN or infinity. Train it again, or evaluate it on data of the type it was made for."
        )
    results = _image_results(postprocessing, scored)
    return stored_predictions(
        postprocessing,
        truth=scored.truth,
        scores=np.array([result.scores for result in results]).reshape(-1, len(postprocessing.labels)),
        given=[result.label for result in results],
        patients=scored.patients,
    )


def stored_predictions(
    postprocessing: Postprocessing,
    *,
    truth: NDArray[Any],
    scores: NDArray[Any],
    given: Sequence[str | None],
    patients: NDArray[np.int64] | None = None,
) -> Predictions:
    """Build predictions from results: the true labels, the final scores and the assigned label of each image.

    `truth` and `scores` have the shape (images, labels).
    """
    position = {label: number for number, label in enumerate(postprocessing.labels)}
    return Predictions(
        postprocessing=postprocessing,
        truth=np.asarray(truth) > 0,
        scores=np.asarray(scores, np.float64),
        # A label that is not in the list is None, or a normal label that has no output of its own.
        given=np.array([position.get(label or "", len(position)) for label in given], np.int64),
        patients=patients,
    )


def _image_results(postprocessing: Postprocessing, scored: Scored) -> list[ImageResult]:
    begins = np.flatnonzero(np.diff(scored.image_of, prepend=-1))
    if not np.array_equal(scored.image_of[begins], np.arange(len(scored.truth))):
        raise ValueError("every image needs frames, and frames must be in the order of their images")
    if len(begins) == len(scored.image_of):
        return [result for result in postprocessing.image_results(scored.scores) if result is not None]
    return [postprocessing.image_result(frames) for frames in np.split(scored.scores, begins[1:])]
