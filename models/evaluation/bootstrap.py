"""Compute confidence intervals by bootstrap: resample the patients and compute all figures again."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.predictions import Predictions

Rounds = dict[str, NDArray[np.float64]]
"""The values of each figure, by its name, as (rounds,) or (rounds, labels); NaN where the figure is undefined."""

LEVEL = 0.95
_WORK = 300_000_000
"""The largest product of rounds, images and labels. A bootstrap of this size takes some seconds on one core."""
_MIN_ROUNDS = 200
_CHUNK = 2_000_000
"""The largest number of weights in memory at once: one per round and image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampling:
    """The method by which the intervals were computed."""

    rounds: int
    unit: str
    """The unit that is drawn with replacement: `patient` if the patients are known, else `image`."""
    units: int
    """The number of patients or images."""
    seed: int
    level: float = LEVEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A percentile interval; both ends are None if the figure is defined in too few rounds."""

    low: float | None
    high: float | None


def resampling(predictions: Predictions, *, rounds: int, seed: int) -> Resampling:
    """Plan the bootstrap: `rounds` rounds, or fewer if the data are so large that they would take minutes."""
    units = len(predictions.truth) if predictions.patients is None else len(np.unique(predictions.patients))
    return Resampling(
        rounds=min(rounds, max(_WORK // predictions.truth.size, _MIN_ROUNDS)),
        unit="image" if predictions.patients is None else "patient",
        units=units,
        seed=seed,
    )


def image_weights(predictions: Predictions, plan: Resampling) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image was drawn, as arrays (rounds of this chunk, images)."""
    unit_of = None if predictions.patients is None else np.unique(predictions.patients, return_inverse=True)[1]
    rng = np.random.default_rng(plan.seed)
    at_once = max(_CHUNK // len(predictions.truth), 1)
    for begin in range(0, plan.rounds, at_once):
        count = min(at_once, plan.rounds - begin)
        drawn = rng.integers(plan.units, size=(count, plan.units)) + np.arange(count)[:, None] * plan.units
        times = np.bincount(drawn.ravel(), minlength=count * plan.units).reshape(count, plan.units)
        yield (times if unit_of is None else times[:, unit_of]).astype(np.float64)


def weighted_figures(predictions: Predictions, weights: NDArray[np.float64]) -> Rounds:
    """Return the figures of measure() for each row of `weights`, (rounds, images)."""
    truth, assigned = predictions.truth.astype(np.float64), predictions.assigned.astype(np.float64)
    present, given, hits = weights @ truth, weights @ assigned, weights @ (truth * assigned)
    classes = {
        "precision": _share(hits, given),
        "recall": _share(hits, present),
        "f1": _share(2 * hits, present + given),
        "roc_auc": _roc_aucs(predictions, weights),
    }
    # The precision of a label that was never assigned is undefined; in the average it counts as 0, as in measure().
    counted = classes | {"precision": np.where(given > 0, classes["precision"], 0.0)}
    macro = {f"macro_{name}": _mean(np.where(present > 0, values, np.nan)) for name, values in counted.items()}
    return {"accuracy": _share(weights @ predictions.correct, weights.sum(axis=1))} | macro | classes


def sampled_figures(predictions: Predictions, plan: Resampling) -> Rounds:
    """Return the figures of all rounds of `plan`."""
    parts = [weighted_figures(predictions, weights) for weights in image_weights(predictions, plan)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(values: NDArray[np.float64]) -> Interval:
    """Return the interval of one figure from its values in all rounds, (rounds,)."""
    known = values[np.isfinite(values)]
    if len(known) < _MIN_ROUNDS / 2:
        return Interval(low=None, high=None)
    low, high = np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(low=float(low), high=float(high))


def _roc_aucs(predictions: Predictions, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = range(len(predictions.labels))
    return np.stack([_roc_auc(predictions.truth[:, k], predictions.scores[:, k], weights) for k in columns], axis=1)


def _roc_auc(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the ROC-AUC, (rounds,).

    Each image with the finding is paired with each image without it. The ROC-AUC is the share of the pairs in which the
    image with the finding has the higher score; a tie counts half (Mann-Whitney).
    """
    with_it, without = np.flatnonzero(truth), np.flatnonzero(~truth)
    without = without[np.argsort(scores[without], kind="stable")]
    below = np.zeros((len(weights), len(without) + 1))
    np.cumsum(weights[:, without], axis=1, out=below[:, 1:])
    beaten = np.searchsorted(scores[without], scores[with_it], "left")
    tied = np.searchsorted(scores[without], scores[with_it], "right")
    drawn = weights[:, with_it]
    wins = (drawn * (below[:, beaten] + below[:, tied])).sum(axis=1) / 2
    return _share(wins, drawn.sum(axis=1) * below[:, -1])


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part / whole, and NaN where `whole` is 0."""
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the labels for which the figure is defined, for each round."""
    defined = np.isfinite(values)
    return _share(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
