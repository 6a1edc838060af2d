"""Turn the scores of frames into the result of an image: calibration, aggregate, thresholds. Pure numpy."""

from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nightread.errors import ImageError
from nightread.plain_text import visible
from nightread.reasons import Reason

SOFTMAX, SIGMOID = ACTIVATIONS = ("softmax", "sigmoid")
MAX, MEAN, VOTE = AGGREGATES = ("max", "mean", "vote")

Scores = NDArray[np.float32]


class ImageResult(NamedTuple):
    """The result of a network for one image, as it is stored."""

    label: str | None
    score: float
    """The score of `label`; the highest score if `label` is None."""
    scores: list[float]
    """The calibrated and aggregated scores, one per label."""


@dataclass(frozen=True, kw_only=True)
class Postprocessing:
    """The rules that turn the scores of one network into a result. Each label except `normal_label` is a finding."""

    labels: tuple[str, ...]
    normal_label: str | None
    activation: str
    thresholds: dict[str, float | None]
    temperature: float
    aggregate: str

    def __post_init__(self) -> None:
        """Raise ValueError if the fields contradict each other."""
        _require("activation", self.activation, ACTIVATIONS)
        _require("aggregate", self.aggregate, AGGREGATES)
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError("there must be at least one label, and no label may occur twice")
        if unsafe := [visible(label) for label in self.labels if visible(label) != label]:
            raise ValueError(f"the label {unsafe[0]} has control characters, shown here as escapes")
        findings = {label for label in self.labels if label != self.normal_label}
        if set(self.thresholds) != findings:
            raise ValueError(f"thresholds must name each label except normal_label: {', '.join(sorted(findings))}")
        if self.activation == SOFTMAX and self.normal_label not in (None, *self.labels):
            raise ValueError(f"normal_label {self.normal_label!r} is not one of the labels")
        for label, threshold in self.thresholds.items():
            if threshold is None and self.activation == SIGMOID:
                raise ValueError(f"{label} has no threshold: with the activation sigmoid, each finding needs a number")
            if threshold is not None and not 0 <= threshold <= 1:
                raise ValueError(f"the threshold of {label} must be between 0 and 1")
        if not 0 < self.temperature < float("inf"):
            raise ValueError("the temperature must be a positive number")
        # Convert to float: the digest must not depend on whether somebody wrote 1 or 1.0.
        levels = {label: None if level is None else float(level) for label, level in self.thresholds.items()}
        object.__setattr__(self, "thresholds", levels)
        object.__setattr__(self, "temperature", float(self.temperature))

    def image_result(self, scores: NDArray[Any]) -> ImageResult:
        """Return the result of one image from the scores of its frames, (frames, labels).

        - `max`: the highest score per label. For softmax: the scores of the frame with the highest suspicion (without
          a normal label: with the highest score), because one clear frame must not outvote the frame with the lesion.
        - `mean`: the mean per label.
        - `vote`: the share of frames that each label won. The most frequent label wins; on a tie, a finding wins.

        A single frame is not aggregated: its scores are the scores of the image. Raises ImageError(bad_scores) for NaN,
        infinity and an image without frames.
        """
        if len(scores) == 0 or not np.isfinite(scores).all():
            raise ImageError(Reason.BAD_SCORES)
        calibrated = self.calibrated(scores)
        if len(calibrated) == 1:
            return self._results(calibrated)[0]
        if self.aggregate == VOTE:
            return self._vote(calibrated)
        return self._results(self._aggregate(calibrated)[None])[0]

    def image_results(self, scores: NDArray[Any]) -> list[ImageResult | None]:
        """Return one result per single-frame image, from scores (images, labels); None if a score is not finite."""
        finite = np.isfinite(scores).all(axis=1)
        if finite.all():
            return list(self._results(self.calibrated(scores)))
        good = iter(self._results(self.calibrated(scores[finite])))
        return [next(good) if is_finite else None for is_finite in finite]

    def result_of(self, scores: Scores) -> ImageResult:
        """Return the result for scores, (labels,), that were calibrated and aggregated elsewhere."""
        return self._results(scores[None])[0]

    def calibrated(self, scores: NDArray[Any]) -> Scores:
        """Return the scores of frames, float32 (frames, labels), with the temperature applied.

        The temperature T is applied to probabilities p: p ** (1/T), normalised, equals the scores of logits divided by
        T.
        """
        plain = np.asarray(scores, np.float32)
        if self.temperature == 1:
            return plain
        tiny = np.finfo(np.float32).tiny
        powers = np.maximum(plain, tiny) ** np.float32(1 / self.temperature)
        if self.activation == SOFTMAX:
            return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
        complements = np.maximum(1 - plain, tiny) ** np.float32(1 / self.temperature)
        return np.asarray(powers / (powers + complements), np.float32)

    def suspicion(self, scores: NDArray[Any]) -> Scores | None:
        """Return 1 minus the score of `normal_label`, from scores (..., labels); None without a normal label.

        If `normal_label` is not an output of the network, the highest score is returned.
        """
        if self.normal_label is None:
            return None
        if self.normal_label in self.labels:
            return np.asarray(1 - scores[..., self.labels.index(self.normal_label)], np.float32)
        return np.asarray(scores.max(axis=-1), np.float32)

    def _aggregate(self, scores: Scores) -> Scores:
        if self.aggregate == MEAN:
            return np.asarray(scores.mean(axis=0), np.float32)
        if self.activation == SIGMOID:
            return np.asarray(scores.max(axis=0), np.float32)
        suspicion = self.suspicion(scores)
        ranking = scores.max(axis=1) if suspicion is None else suspicion
        frame: Scores = scores[int(ranking.argmax())]
        return frame

    def _vote(self, scores: Scores) -> ImageResult:
        winners = self._winners(scores)
        votes = np.bincount(winners, minlength=len(self._names))
        winner = max(range(len(votes)), key=lambda label: (votes[label], label not in self._normal_indices))
        shares = (votes / len(scores)).tolist()
        return ImageResult(self._names[winner], shares[winner], shares[: len(self.labels)])

    def _results(self, scores: Scores) -> list[ImageResult]:
        """Return one result per row. This is the hot path: about 2 us per image at most."""
        winners = self._winners(scores)
        names = [self._names[label] for label in winners.tolist()]
        winning_scores = self._winning_scores(scores, winners)
        return list(starmap(ImageResult, zip(names, winning_scores, scores.tolist(), strict=True)))

    def _winners(self, scores: Scores) -> NDArray[np.intp]:
        """Return for each row the index of its result in `_names`.

        The result is the highest finding that reached its threshold, or else the normal result.
        """
        reached = scores >= self._threshold_array
        if self._wins_if_highest.any():
            reached |= self._wins_if_highest & (scores == scores.max(axis=1, keepdims=True))
        winners = np.where(reached, scores, np.float32(-1)).argmax(axis=1)
        return np.where(reached.any(axis=1), winners, self._normal_indices[0])

    def _winning_scores(self, scores: Scores, winners: NDArray[np.intp]) -> list[float]:
        outside = winners == len(self.labels)
        picked = scores[np.arange(len(scores)), np.where(outside, 0, winners)]
        if outside.any():
            highest = scores.max(axis=1)
            picked = np.where(outside, highest if self.normal_label is None else 1 - highest, picked)
        chosen: list[float] = picked.tolist()
        return chosen

    @cached_property
    def _names(self) -> tuple[str | None, ...]:
        """Return the labels, followed by the result of an image that reaches no threshold: the normal label or None."""
        return (*self.labels, self.normal_label)

    @cached_property
    def _normal_indices(self) -> tuple[int, ...]:
        """Return the indices in `_names` of results without a finding; the first is the result below all thresholds."""
        outside = len(self.labels)
        return (self.labels.index(self.normal_label), outside) if self.normal_label in self.labels else (outside,)

    @cached_property
    def _threshold_array(self) -> Scores:
        """Return the threshold of each label; NaN (never reached) for the normal label and for a threshold of None."""
        levels = (self.thresholds.get(label) for label in self.labels)
        return np.array([np.nan if level is None else level for level in levels], np.float32)

    @cached_property
    def _wins_if_highest(self) -> NDArray[np.bool_]:
        """Return True for each finding with a threshold of None: it wins if its score is the highest of all."""
        return np.array([self.thresholds.get(label, 0) is None for label in self.labels])


def _require(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
