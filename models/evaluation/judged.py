"""Images as a bundle answers them, beside the truth: what every figure is computed from."""

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
"""What the absence of a label is called in tables."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Image-level answers; whether they come from a data set or from last night's rows makes no difference."""

    postprocessing: Postprocessing
    truth: NDArray[np.bool_]
    """(images, labels)."""
    scores: NDArray[np.float64]
    """(images, labels): calibrated and aggregated."""
    given: NDArray[np.int64]
    """(images,): position in `names` of the label that the image was given."""
    patients: NDArray[np.int64] | None = None
    """(images,): the same number for images of one patient; None where patients are not known."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Columns of `truth` and `scores`."""
        return self.postprocessing.labels

    @property
    def exclusive(self) -> bool:
        """Each image has one label (softmax); else any number of findings (sigmoid)."""
        return self.postprocessing.activation == SOFTMAX

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, and after them what an image is called that has none of them."""
        normal = self.postprocessing.normal_label
        return (*self.labels, NONE if normal is None or normal in self.labels else normal)

    @cached_property
    def true(self) -> NDArray[np.int64]:
        """(images,): position in `names` of the true label; of several, the first."""
        return np.asarray(np.where(self.truth.any(axis=1), self.truth.argmax(axis=1), len(self.labels)))

    @cached_property
    def called(self) -> NDArray[np.bool_]:
        """(images, labels): what each image is said to have; for sigmoid every finding that reached its threshold."""
        one_each: NDArray[np.bool_] = self.given[:, None] == np.arange(len(self.labels))
        if self.postprocessing.activation != SIGMOID or self.postprocessing.aggregate == VOTE:
            return one_each
        levels = [self.postprocessing.thresholds.get(label) for label in self.labels]
        # NaN is reached by nothing: normality is called where no finding is. float32 as in Verdict.
        reached = self.scores.astype(np.float32) >= np.array(levels, np.float32)
        normal = np.array([level is None for level in levels])
        return np.asarray(np.where(normal, one_each, reached), bool)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(images,): everything that was called is true and the other way round."""
        if self.exclusive:
            return np.asarray(self.given == self.true)
        return np.asarray((self.called == self.truth).all(axis=1))


def judge(postprocessing: Postprocessing, scored: Scored) -> Judged:
    """The answers to the images of a data set. Raises StopWork for scores that are not finite."""
    if not np.isfinite(scored.scores).all():
        raise StopWork(
            "the network answers with NaN or infinity: train it again, or evaluate the data it was made for."
        )
    results = _image_results(postprocessing, scored)
    return judged_images(
        postprocessing,
        truth=scored.truth,
        scores=np.array([result.scores for result in results]).reshape(-1, len(postprocessing.labels)),
        given=[result.label for result in results],
        patients=scored.patients,
    )


def judged_images(
    postprocessing: Postprocessing,
    *,
    truth: NDArray[Any],
    scores: NDArray[Any],
    given: Sequence[str | None],
    patients: NDArray[np.int64] | None = None,
) -> Judged:
    """Answers that exist already: final scores (images, labels) and given labels, as results are stored."""
    position = {label: number for number, label in enumerate(postprocessing.labels)}
    return Judged(
        postprocessing=postprocessing,
        truth=np.asarray(truth) > 0,
        scores=np.asarray(scores, np.float64),
        # A label that is not in the list stands for "none of them": a normality without an output of its own.
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
