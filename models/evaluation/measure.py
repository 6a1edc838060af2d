"""Compute all figures of a network on one part of a data set, or on the results of one night."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss

from models.evaluation.bootstrap import Interval, Resampling, Rounds, interval, resampling, sampled_figures
from models.evaluation.classes import ClassFigures, class_figures
from models.evaluation.predictions import Predictions, image_predictions
from models.evaluation.reliability import Reliability, reliability
from models.networks.scoring import Scored
from models.postprocessing import Postprocessing
from nightread.errors import UsageFault

MACRO = ("precision", "recall", "f1", "roc_auc")
_SUM_TOLERANCE = 1e-3
_ROC_AUC_OF_CHANCE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """The confusion matrix: the number of images for each pair of true and assigned label."""

    truth: tuple[str, ...]
    given: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """One row per true label, one column per assigned label."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All figures. A figure that is undefined for these data is None, and `notes` explains why.

    Macro averages are means over the labels that at least one image has. If such a label was never assigned, its
    precision counts as 0.
    """

    images: int
    labels: tuple[str, ...]
    loss: float | None
    """The mean negative log-likelihood of the calibrated scores: per image, or for sigmoid per image and label."""
    accuracy: float
    """The share of images with the correct label (softmax), or with exactly the correct findings (sigmoid)."""
    label_accuracy: float | None
    """The share of correct decisions over all images and labels, for sigmoid; None for softmax."""
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: float | None
    macro_roc_auc: float | None
    """The mean of the one-against-rest ROC-AUC of each label."""
    macro_average_precision: float | None
    temperature: float
    reliability: Reliability
    intervals: dict[str, Interval]
    resampling: Resampling
    classes: tuple[ClassFigures, ...]
    confusion: Confusion | None
    """The confusion matrix; None for sigmoid, because its labels do not exclude each other."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values. The names are part of the interface and do not change."""
        return asdict(self)


def measure(postprocessing: Postprocessing, scored: Scored, *, seed: int = 0, rounds: int = 1000) -> Evaluation:
    """Compute all figures of a scored part of a data set.

    Raises StopWork for scores that are not finite and UsageFault if there are no images.
    """
    return measure_images(image_predictions(postprocessing, scored), seed=seed, rounds=rounds)


def measure_images(predictions: Predictions, *, seed: int = 0, rounds: int = 1000) -> Evaluation:
    """Compute all figures of images that have predictions. Raises UsageFault if there are no images."""
    if len(predictions.truth) == 0:
        raise UsageFault("There is nothing to measure: no image has a known true label.")
    plan = resampling(predictions, rounds=rounds, seed=seed)
    sampled = sampled_figures(predictions, plan)
    classes = tuple(_with_intervals(class_figures(predictions, k), sampled, k) for k in range(len(predictions.labels)))
    images, occurring = len(predictions.truth), [of for of in classes if of.support]
    intervals = {name: interval(values) for name, values in sampled.items() if values.ndim == 1}
    return Evaluation(
        images=images,
        labels=predictions.labels,
        loss=_loss(predictions),
        accuracy=float(predictions.correct.mean()),
        label_accuracy=float((predictions.assigned == predictions.truth).mean()) if not predictions.exclusive else None,
        macro_precision=_mean([of.precision or 0.0 for of in occurring]),
        macro_recall=_mean([of.recall for of in occurring]),
        macro_f1=_mean([of.f1 for of in occurring]),
        macro_roc_auc=_mean([of.roc_auc for of in occurring]),
        macro_average_precision=_mean([of.average_precision for of in occurring]),
        temperature=predictions.postprocessing.temperature,
        reliability=reliability(predictions),
        intervals=intervals,
        resampling=plan,
        classes=classes,
        confusion=_confusion(predictions) if predictions.exclusive else None,
        notes=(*_chance(intervals["macro_roc_auc"], classes), *_notes(predictions, classes, plan)),
    )


def _with_intervals(figures: ClassFigures, sampled: Rounds, column: int) -> ClassFigures:
    return replace(figures, intervals={name: interval(sampled[name][:, column]) for name in MACRO})


def _loss(predictions: Predictions) -> float | None:
    if not predictions.exclusive:
        columns = range(len(predictions.labels))
        return float(
            np.mean([log_loss(predictions.truth[:, k], predictions.scores[:, k], labels=[0, 1]) for k in columns])
        )
    if not _are_probabilities(predictions):
        return None
    scores = predictions.scores / predictions.scores.sum(axis=1, keepdims=True)  # float32 sums are off by 1e-7
    return float(log_loss(predictions.truth.astype(int), scores))


def _are_probabilities(predictions: Predictions) -> bool:
    """Return whether the scores add up to 1 and each image has a label.

    Shares of votes add up to less if some frames have no label.
    """
    sums = predictions.scores.sum(axis=1)
    return len(predictions.labels) > 1 and bool(
        (abs(sums - 1) < _SUM_TOLERANCE).all() and predictions.truth.any(axis=1).all()
    )


def _confusion(predictions: Predictions) -> Confusion:
    """Return the confusion matrix, without the row or column `none` if it would be empty."""
    counts = confusion_matrix(predictions.true, predictions.given, labels=range(len(predictions.names)))
    rows = len(predictions.names) - (not counts[-1].any())
    columns = len(predictions.names) - (not counts[:, -1].any())
    return Confusion(
        truth=predictions.names[:rows],
        given=predictions.names[:columns],
        counts=tuple(tuple(row) for row in counts[:rows, :columns].tolist()),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _chance(roc_auc: Interval, classes: Sequence[ClassFigures]) -> Iterator[str]:
    """Yield a note if these images do not show that the network is better than chance, whose ROC-AUC is 0.5.

    If the average is better than chance, the note names the labels for which the network may not be better than chance.
    """
    if roc_auc.low is None or roc_auc.high is None:
        return
    if roc_auc.low <= _ROC_AUC_OF_CHANCE:
        yield (
            f"Not shown to be better than chance: the 95 % interval of the macro ROC-AUC, {roc_auc.low:.4f} to "
            f"{roc_auc.high:.4f}, is not above {_ROC_AUC_OF_CHANCE}. Do not use this network; check the labels and how "
            "the images are prepared (`nightread models samples`), or train longer or on more images."
        )
    elif unproven := [of.label for of in classes if _may_be_chance(of)]:
        yield (
            f"Not shown to be better than chance for {', '.join(unproven)}: the 95 % interval of the ROC-AUC is not "
            f"above {_ROC_AUC_OF_CHANCE}."
        )


def _may_be_chance(of: ClassFigures) -> bool:
    low = of.intervals["roc_auc"].low
    return low is not None and low <= _ROC_AUC_OF_CHANCE


def _notes(predictions: Predictions, classes: Sequence[ClassFigures], plan: Resampling) -> list[str]:
    images = len(predictions.truth)
    notes = [f"No image has the label {of.label}: recall and curves are undefined." for of in classes if not of.support]
    notes += [f"All images have the label {of.label}: ROC-AUC is undefined." for of in classes if of.support == images]
    never = [of.label for of in classes if of.support and of.precision is None]
    notes += [
        f"The label {label} was never assigned: its precision is undefined and counts as 0 in the average."
        for label in never
    ]
    if predictions.exclusive and not _are_probabilities(predictions):
        notes.append("The log loss is undefined: the scores are not probabilities of the true labels.")
    if predictions.correct.all():  # the bootstrap interval then has no width; the rule of three still gives a bound
        percent = float(f"{100 * min(3 / plan.units, 1):.2g}")
        notes.append(
            f"All predictions are correct. The true error rate may be up to {percent:g} % "
            f"(95 % confidence, {plan.units} {plan.unit}s)."
        )
    return notes
