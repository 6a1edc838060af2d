"""From the scores of frames to the result of an image: calibration, aggregate, thresholds. Pure numpy."""

from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nightread.errors import ImageError
from nightread.reasons import Reason

SOFTMAX, SIGMOID = ACTIVATIONS = ("softmax", "sigmoid")
MAX, MEAN, VOTE = AGGREGATES = ("max", "mean", "vote")

Scores = NDArray[np.float32]


class ImageResult(NamedTuple):
    """What is stored about one image."""

    label: str | None
    score: float
    """Of `label`; where there is none, the highest of all."""
    scores: list[float]
    """Calibrated and aggregated, one per label."""


@dataclass(frozen=True, kw_only=True)
class Postprocessing:
    """How one network's scores are read. Labels other than `normal_label` are findings."""

    labels: tuple[str, ...]
    normal_label: str | None
    activation: str
    thresholds: dict[str, float | None]
    temperature: float
    aggregate: str

    def __post_init__(self) -> None:
        """Raise ValueError for a combination that has no meaning."""
        _require("activation", self.activation, ACTIVATIONS)
        _require("aggregate", self.aggregate, AGGREGATES)
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be at least one, and all different")
        findings = {label for label in self.labels if label != self.normal_label}
        if set(self.thresholds) != findings:
            raise ValueError(f"thresholds must name exactly the findings: {', '.join(sorted(findings))}")
        if self.activation == SOFTMAX and self.normal_label not in (None, *self.labels):
            raise ValueError(f"normal_label {self.normal_label!r} is none of the labels")
        for label, threshold in self.thresholds.items():
            if threshold is None and self.activation == SIGMOID:
                raise ValueError(f"the threshold of {label} must be a number: sigmoid scores do not exclude each other")
            if threshold is not None and not 0 <= threshold <= 1:
                raise ValueError(f"the threshold of {label} must lie in 0..1")
        if not 0 < self.temperature < float("inf"):
            raise ValueError("the temperature must be a positive number")
        # Floats throughout: a digest must not depend on whether somebody wrote 1 or 1.0.
        levels = {label: None if level is None else float(level) for label, level in self.thresholds.items()}
        object.__setattr__(self, "thresholds", levels)
        object.__setattr__(self, "temperature", float(self.temperature))

    def image_result(self, scores: NDArray[Any]) -> ImageResult:
        """One image from the scores of its frames, (frames, labels). Raises ImageError(bad_scores) for NaN or infinity.

        - `max`: per label the highest; for softmax the scores of the frame that speaks most against `normal_label`
          (or of the most decided frame), because one clear frame must not outvote the frame with the lesion.
        - `mean`: the mean per label.
        - `vote`: the share of frames that each label won; the most frequent one wins, a finding on a tie.

        One frame needs no aggregate: its result is its own scores.
        """
        if len(scores) == 0 or not np.isfinite(scores).all():
            raise ImageError(Reason.BAD_SCORES)
        calibrated = self._calibrate(scores)
        if len(calibrated) == 1:
            return self._results(calibrated)[0]
        if self.aggregate == VOTE:
            return self._vote(calibrated)
        return self._results(self._aggregate(calibrated)[None])[0]

    def image_results(self, scores: NDArray[Any]) -> list[ImageResult | None]:
        """Many images of one frame each, (images, labels); None where a score is not finite."""
        finite = np.isfinite(scores).all(axis=1)
        if finite.all():
            return list(self._results(self._calibrate(scores)))
        good = iter(self._results(self._calibrate(scores[finite])))
        return [next(good) if sound else None for sound in finite]

    def suspicion(self, scores: NDArray[Any]) -> Scores | None:
        """How much speaks against `normal_label`, (...) from (..., labels); None where nothing is called normal."""
        if self.normal_label is None:
            return None
        if self.normal_label in self.labels:
            return np.asarray(1 - scores[..., self.labels.index(self.normal_label)], np.float32)
        return np.asarray(scores.max(axis=-1), np.float32)

    def _calibrate(self, scores: NDArray[Any]) -> Scores:
        """Temperature scaling of scores that are probabilities already: logits are recovered up to a constant."""
        plain = np.asarray(scores, np.float32)
        if self.temperature == 1:
            return plain
        tiny = np.finfo(np.float32).tiny
        sharpened = np.maximum(plain, tiny) ** np.float32(1 / self.temperature)
        if self.activation == SOFTMAX:
            return np.asarray(sharpened / sharpened.sum(axis=1, keepdims=True), np.float32)
        against = np.maximum(1 - plain, tiny) ** np.float32(1 / self.temperature)
        return np.asarray(sharpened / (sharpened + against), np.float32)

    def _aggregate(self, scores: Scores) -> Scores:
        if self.aggregate == MEAN:
            return np.asarray(scores.mean(axis=0), np.float32)
        if self.activation == SIGMOID:
            return np.asarray(scores.max(axis=0), np.float32)
        suspicion = self.suspicion(scores)
        decided = scores.max(axis=1) if suspicion is None else suspicion
        frame: Scores = scores[int(decided.argmax())]
        return frame

    def _vote(self, scores: Scores) -> ImageResult:
        won = self._winners(scores)
        votes = np.bincount(won, minlength=len(self._names))
        ranked = max(range(len(votes)), key=lambda label: (votes[label], label not in self._no_findings))
        shares = (votes / len(scores)).tolist()
        return ImageResult(self._names[ranked], shares[ranked], shares[: len(self.labels)])

    def _results(self, scores: Scores) -> list[ImageResult]:
        """One result per row; the hot path, some 2 us per image at most."""
        won = self._winners(scores)
        names = [self._names[label] for label in won.tolist()]
        return list(starmap(ImageResult, zip(names, self._winning_scores(scores, won), scores.tolist(), strict=True)))

    def _winners(self, scores: Scores) -> NDArray[np.intp]:
        """Per row the index into `_names` of the highest finding that reached its threshold, else of normality."""
        reached = scores >= self._levels
        if self._highest.any():
            reached |= self._highest & (scores == scores.max(axis=1, keepdims=True))
        won = np.where(reached, scores, np.float32(-1)).argmax(axis=1)
        return np.where(reached.any(axis=1), won, self._no_findings[0])

    def _winning_scores(self, scores: Scores, won: NDArray[np.intp]) -> list[float]:
        outside = won == len(self.labels)
        picked = scores[np.arange(len(scores)), np.where(outside, 0, won)]
        if outside.any():
            highest = scores.max(axis=1)
            picked = np.where(outside, highest if self.normal_label is None else 1 - highest, picked)
        chosen: list[float] = picked.tolist()
        return chosen

    @cached_property
    def _names(self) -> tuple[str | None, ...]:
        """The labels, and after them what an image is called that has none of them."""
        return (*self.labels, self.normal_label)

    @cached_property
    def _no_findings(self) -> tuple[int, ...]:
        """Indices into `_names` that are no finding, the one to fall back on first."""
        outside = len(self.labels)
        return (self.labels.index(self.normal_label), outside) if self.normal_label in self.labels else (outside,)

    @cached_property
    def _levels(self) -> Scores:
        """Thresholds per label; NaN, which nothing reaches, for normality and for `when it is the highest`."""
        levels = (self.thresholds.get(label) for label in self.labels)
        return np.array([np.nan if level is None else level for level in levels], np.float32)

    @cached_property
    def _highest(self) -> NDArray[np.bool_]:
        return np.array([self.thresholds.get(label, 0) is None for label in self.labels])


def _require(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
