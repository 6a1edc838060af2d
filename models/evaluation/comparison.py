"""Compare two networks on the same images, and test whether their difference could be chance."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from models.evaluation.bootstrap import (
    Interval,
    Resampling,
    Rounds,
    image_weights,
    interval,
    resampling,
    weighted_figures,
)
from models.evaluation.measure import Evaluation
from models.evaluation.predictions import Predictions

FIGURES = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "macro_roc_auc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One figure of both networks, and the figure of the second minus the figure of the first."""

    figure: str
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval
    """The interval of the difference; each round draws the same images for both networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """On how many images both networks are right, only the first network, only the second network, or neither."""

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    same_label: int
    """The number of images to which both networks assign the same label, right or wrong."""
    kappa: float | None
    """Cohen's kappa of the assigned labels; None if both networks assign the same single label to all images."""
    mcnemar_p: float
    """The p-value of the exact McNemar test on the images that only one network predicts correctly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The comparison of two networks on one part of a data set."""

    images: int
    differences: tuple[Difference, ...]
    agreement: Agreement
    resampling: Resampling

    def to_json(self) -> dict[str, Any]:
        """Return plain values. The names are part of the interface and do not change."""
        return asdict(self)


def compare(
    first: Predictions, second: Predictions, figures: tuple[Evaluation, Evaluation], *, seed: int = 0
) -> Comparison:
    """Compare predictions for the same images in the same order; `figures` are from measure_images(), one per network.

    Raises ValueError if the numbers of images differ.
    """
    if len(first.truth) != len(second.truth):
        raise ValueError("two networks can only be compared on the same images")
    plan = resampling(first, rounds=figures[0].resampling.rounds, seed=seed)
    gained = _gained(first, second, plan)
    return Comparison(
        images=len(first.truth),
        differences=tuple(_difference(name, figures, gained) for name in FIGURES),
        agreement=_agreement(first, second),
        resampling=plan,
    )


def _gained(first: Predictions, second: Predictions, plan: Resampling) -> Rounds:
    """Return, for each figure, the value of `second` minus the value of `first` in every round."""
    rounds: dict[str, list[Any]] = {name: [] for name in FIGURES}
    for weights in image_weights(first, plan):
        before, after = weighted_figures(first, weights), weighted_figures(second, weights)
        for name, values in rounds.items():
            values.append(after[name] - before[name])
    return {name: np.concatenate(values) for name, values in rounds.items()}


def _difference(name: str, figures: tuple[Evaluation, Evaluation], gained: Rounds) -> Difference:
    first, second = (getattr(of, name) for of in figures)
    return Difference(
        figure=name,
        first=first,
        second=second,
        difference=None if first is None or second is None else second - first,
        interval=interval(gained[name]),
    )


def _agreement(first: Predictions, second: Predictions) -> Agreement:
    right, also = first.correct, second.correct
    only_first, only_second = int((right & ~also).sum()), int((also & ~right).sum())
    apart = only_first + only_second
    given = np.array(first.names)[first.given], np.array(second.names)[second.given]
    return Agreement(
        both_right=int((right & also).sum()),
        only_first_right=only_first,
        only_second_right=only_second,
        both_wrong=int((~right & ~also).sum()),
        same_label=int((given[0] == given[1]).sum()),
        kappa=float(cohen_kappa_score(*given)) if len(np.unique(given)) > 1 else None,
        mcnemar_p=float(binomtest(only_first, apart).pvalue) if apart else 1.0,
    )
