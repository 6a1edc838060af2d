"""How good a network is: every figure of one part of a data set, or of one night."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss

from models.evaluation.bootstrap import Interval, Resampling, Rounds, interval, resampling, sampled_figures
from models.evaluation.classes import ClassFigures, class_figures
from models.evaluation.judged import Judged, judge
from models.evaluation.reliability import Reliability, reliability
from models.networks.scoring import Scored
from models.postprocessing import Postprocessing
from nightread.errors import UsageFault

MACRO = ("precision", "recall", "f1", "roc_auc")
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """How many images of each true label were given which label."""

    truth: tuple[str, ...]
    given: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """One row per true label."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of images. Those that the data leave undefined are None, and `notes` says why.

    Macro averages are over the labels that occur; a label that occurs and was never given counts with precision 0.
    """

    images: int
    labels: tuple[str, ...]
    loss: float | None
    """Negative log-likelihood per image of calibrated scores; for sigmoid the mean over labels."""
    accuracy: float
    """Images with the right label; for sigmoid those with exactly the right findings."""
    label_accuracy: float | None
    """For sigmoid: right yes-or-no answers over all images and labels."""
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: float | None
    macro_roc_auc: float | None
    """Mean of one-against-rest ROC-AUC."""
    macro_average_precision: float | None
    temperature: float
    reliability: Reliability
    intervals: dict[str, Interval]
    resampling: Resampling
    classes: tuple[ClassFigures, ...]
    confusion: Confusion | None
    """None for sigmoid, whose labels do not exclude each other."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; names stay stable."""
        return asdict(self)


def measure(postprocessing: Postprocessing, scored: Scored, *, seed: int = 0, rounds: int = 1000) -> Evaluation:
    """Every figure of a scored part of a data set.

    Raises StopWork for scores that are not finite, UsageFault where there are no images.
    """
    return measure_images(judge(postprocessing, scored), seed=seed, rounds=rounds)


def measure_images(judged: Judged, *, seed: int = 0, rounds: int = 1000) -> Evaluation:
    """The same for images that have their results already. Raises UsageFault where there are none."""
    if len(judged.truth) == 0:
        raise UsageFault("there are no images with a known truth, so there is nothing to measure")
    plan = resampling(judged, rounds=rounds, seed=seed)
    sampled = sampled_figures(judged, plan)
    classes = tuple(_with_intervals(class_figures(judged, k), sampled, k) for k in range(len(judged.labels)))
    images, occurring = len(judged.truth), [of for of in classes if of.support]
    return Evaluation(
        images=images,
        labels=judged.labels,
        loss=_loss(judged),
        accuracy=float(judged.correct.mean()),
        label_accuracy=float((judged.called == judged.truth).mean()) if not judged.exclusive else None,
        macro_precision=_mean([of.precision or 0.0 for of in occurring]),
        macro_recall=_mean([of.recall for of in occurring]),
        macro_f1=_mean([of.f1 for of in occurring]),
        macro_roc_auc=_mean([of.roc_auc for of in occurring]),
        macro_average_precision=_mean([of.average_precision for of in occurring]),
        temperature=judged.postprocessing.temperature,
        reliability=reliability(judged),
        intervals={name: interval(values) for name, values in sampled.items() if values.ndim == 1},
        resampling=plan,
        classes=classes,
        confusion=_confusion(judged) if judged.exclusive else None,
        notes=tuple(_notes(judged, classes, plan)),
    )


def _with_intervals(figures: ClassFigures, sampled: Rounds, column: int) -> ClassFigures:
    return replace(figures, intervals={name: interval(sampled[name][:, column]) for name in MACRO})


def _loss(judged: Judged) -> float | None:
    if not judged.exclusive:
        columns = range(len(judged.labels))
        return float(np.mean([log_loss(judged.truth[:, k], judged.scores[:, k], labels=[0, 1]) for k in columns]))
    if not _are_probabilities(judged):
        return None
    scores = judged.scores / judged.scores.sum(axis=1, keepdims=True)  # float32 sums are off by 1e-7
    return float(log_loss(judged.truth.astype(int), scores))


def _are_probabilities(judged: Judged) -> bool:
    """Shares of votes may miss those of frames without a label, and an image may have none of the labels."""
    sums = judged.scores.sum(axis=1)
    return len(judged.labels) > 1 and bool((abs(sums - 1) < _SUM_TOLERANCE).all() and judged.truth.any(axis=1).all())


def _confusion(judged: Judged) -> Confusion:
    """Without a row or column for `none` where no image has none."""
    counts = confusion_matrix(judged.true, judged.given, labels=range(len(judged.names)))
    rows = len(judged.names) - (not counts[-1].any())
    columns = len(judged.names) - (not counts[:, -1].any())
    return Confusion(
        truth=judged.names[:rows],
        given=judged.names[:columns],
        counts=tuple(tuple(row) for row in counts[:rows, :columns].tolist()),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _notes(judged: Judged, classes: Sequence[ClassFigures], plan: Resampling) -> list[str]:
    images = len(judged.truth)
    notes = [f"No image is {of.label}: its recall and its curves are undefined." for of in classes if not of.support]
    notes += [f"Every image is {of.label}: its ROC-AUC is undefined." for of in classes if of.support == images]
    never = [of.label for of in classes if of.support and of.precision is None]
    notes += [f"No image was given {label}: its precision is undefined, and 0 in the average." for label in never]
    if judged.exclusive and not _are_probabilities(judged):
        notes.append("The scores are no probabilities of the true labels, so there is no loss.")
    if judged.correct.all():  # resampling what holds no mistake shows none; the rule of three still bounds their rate
        bound = min(3 / plan.units, 1)
        notes.append(
            f"No image was answered wrong; up to {100 * bound:.2g} % may be (95 %, {plan.units} {plan.unit}s)."
        )
    return notes
