"""Figures of resampled data: how far they would move with other patients."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.judged import Judged

Rounds = dict[str, NDArray[np.float64]]
"""Figure -> (rounds,), or (rounds, labels); NaN where a round leaves it undefined."""

LEVEL = 0.95
_WORK = 300_000_000
"""Rounds x images x labels: some seconds on one core."""
_FEWEST = 200
_CHUNK = 2_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampling:
    """How the intervals were made."""

    rounds: int
    unit: str
    """`patient`, where patients are known, else `image`: what was drawn with replacement."""
    units: int
    seed: int
    level: float = LEVEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Percentile interval; None where too few rounds define the figure."""

    low: float | None
    high: float | None


def resampling(judged: Judged, *, rounds: int, seed: int) -> Resampling:
    """`rounds`, or fewer where the data are so large that 1000 would take minutes."""
    units = len(judged.truth) if judged.patients is None else len(np.unique(judged.patients))
    return Resampling(
        rounds=min(rounds, max(_WORK // judged.truth.size, _FEWEST)),
        unit="image" if judged.patients is None else "patient",
        units=units,
        seed=seed,
    )


def image_weights(judged: Judged, plan: Resampling) -> Iterator[NDArray[np.float64]]:
    """How often each image was drawn, (some rounds, images) at a time."""
    unit_of = None if judged.patients is None else np.unique(judged.patients, return_inverse=True)[1]
    rng = np.random.default_rng(plan.seed)
    at_once = max(_CHUNK // len(judged.truth), 1)
    for begin in range(0, plan.rounds, at_once):
        count = min(at_once, plan.rounds - begin)
        drawn = rng.integers(plan.units, size=(count, plan.units)) + np.arange(count)[:, None] * plan.units
        times = np.bincount(drawn.ravel(), minlength=count * plan.units).reshape(count, plan.units)
        yield (times if unit_of is None else times[:, unit_of]).astype(np.float64)


def weighted_figures(judged: Judged, weights: NDArray[np.float64]) -> Rounds:
    """The figures of measure(), for each row of weights (rounds, images)."""
    truth, called = judged.truth.astype(np.float64), judged.called.astype(np.float64)
    present, given, hits = weights @ truth, weights @ called, weights @ (truth * called)
    classes = {
        "precision": _share(hits, given),
        "recall": _share(hits, present),
        "f1": _share(2 * hits, present + given),
        "roc_auc": _roc_aucs(judged, weights),
    }
    # A class that was never called has no precision, and drags the average down all the same.
    counted = classes | {"precision": np.where(given > 0, classes["precision"], 0.0)}
    macro = {f"macro_{name}": _mean(np.where(present > 0, values, np.nan)) for name, values in counted.items()}
    return {"accuracy": _share(weights @ judged.correct, weights.sum(axis=1))} | macro | classes


def sampled_figures(judged: Judged, plan: Resampling) -> Rounds:
    """All rounds of the plan."""
    parts = [weighted_figures(judged, weights) for weights in image_weights(judged, plan)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(values: NDArray[np.float64]) -> Interval:
    """Of one figure, (rounds,)."""
    known = values[np.isfinite(values)]
    if len(known) < _FEWEST / 2:
        return Interval(low=None, high=None)
    low, high = np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(low=float(low), high=float(high))


def _roc_aucs(judged: Judged, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = range(len(judged.labels))
    return np.stack([_roc_auc(judged.truth[:, k], judged.scores[:, k], weights) for k in columns], axis=1)


def _roc_auc(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The share of pairs in which the image with the finding scores higher, ties counting half (Mann-Whitney)."""
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
    """Part of whole; NaN where there is no whole."""
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the defined labels of each round."""
    defined = np.isfinite(values)
    return _share(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
