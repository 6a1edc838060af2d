"""Check the figures of an evaluation against requirements such as `auc>=0.9`, for continuous integration."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from models.evaluation.classes import ClassFigures
from models.evaluation.measure import MACRO, Evaluation
from nightread.errors import UsageFault

_OVERALL = {
    "accuracy": "accuracy",
    "label_accuracy": "label_accuracy",
    "auc": "macro_roc_auc",
    "average_precision": "macro_average_precision",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "sensitivity": "macro_recall",
    "f1": "macro_f1",
    "loss": "loss",
    "calibration_error": "calibration_error",
    "images": "images",
}
"""The field of Evaluation for each name in a requirement without a label."""
_BY_LABEL = {
    "auc": "roc_auc",
    "average_precision": "average_precision",
    "precision": "precision",
    "recall": "recall",
    "sensitivity": "recall",
    "specificity": "specificity",
    "f1": "f1",
    "images": "support",
}
"""The field of ClassFigures for each name in a requirement with a label."""
_WITH_INTERVAL = {"accuracy", *MACRO, *(f"macro_{name}" for name in MACRO)}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*(\w+)(?:\[(.+)\])?(?:\.(low|high))?\s*(>=|<=|>|<)\s*(\d*\.?\d+(?:[eE][-+]?\d+)?)\s*")
_EXAMPLES = "auc>=0.9, recall[nodule]>=0.8, accuracy.low>=0.85 (the lower end of the 95 % interval), images>=500"


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementResult:
    """Whether an evaluation meets one requirement."""

    requirement: str
    """The requirement as it was given."""
    figure: str
    """The figure as evaluation.json names it."""
    label: str | None
    value: float | None
    """The value of the figure; None if it is undefined for these data, so that the requirement is not met."""
    met: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """A limit for one figure."""

    text: str
    figure: str
    """The field of Evaluation; with a `label`, the field of ClassFigures."""
    label: str | None
    end: str | None
    """Which end of the 95 % interval is compared with `limit`: `low` or `high`; None to compare the figure itself."""
    comparison: str
    limit: float

    @classmethod
    def parse(cls, text: str, labels: Sequence[str]) -> Self:
        """Read `FIGURE[LABEL].low>=NUMBER`; label and end are optional. Raises UsageFault.

        `labels` are the labels of the evaluation that will be checked.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageFault(f"--require {text}: this is not a requirement. Examples: {_EXAMPLES}.")
        name, label, end, comparison, limit = found.groups()
        figure = _figure(text, name, label, labels)
        if end is not None and figure not in _WITH_INTERVAL:
            raise UsageFault(f"--require {text}: {name} has no interval. Leave out .{end}.")
        return cls(text=text.strip(), figure=figure, label=label, end=end, comparison=comparison, limit=float(limit))

    def check(self, evaluation: Evaluation) -> RequirementResult:
        """Compare the figure with the limit. An undefined figure does not meet the requirement."""
        value = self._value(evaluation)
        met = value is not None and _COMPARE[self.comparison](value, self.limit)
        return RequirementResult(requirement=self.text, figure=self.figure, label=self.label, value=value, met=met)

    def _value(self, evaluation: Evaluation) -> float | None:
        if self.figure == "calibration_error":
            return evaluation.reliability.ece
        of: Evaluation | ClassFigures = evaluation
        if self.label is not None:
            of = next(figures for figures in evaluation.classes if figures.label == self.label)
        if self.end is None:
            return _number(getattr(of, self.figure))
        interval = of.intervals.get(self.figure)
        return None if interval is None else _number(getattr(interval, self.end))


def _figure(text: str, name: str, label: str | None, labels: Sequence[str]) -> str:
    """Return the field of the figure. Raises UsageFault with the known figures or labels."""
    if label is not None and label not in labels:
        raise UsageFault(f"--require {text}: there is no label {label}; the labels are {', '.join(labels)}.")
    known = _OVERALL if label is None else _BY_LABEL
    fields = known | {field: field for field in known.values()}
    if name in fields:
        return fields[name]
    if label is None and name in _BY_LABEL:
        raise UsageFault(f"--require {text}: {name} needs a label, for example {name}[{labels[-1]}].")
    figures = ", ".join(known)
    raise UsageFault(f"--require {text}: there is no figure {name}{' of a label' if label else ''}; use {figures}.")


def _number(value: Any) -> float | None:
    """Return a share as float, and a number of images as int."""
    return value if value is None or isinstance(value, int) else float(value)
