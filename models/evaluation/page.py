"""Write an evaluation as evaluation.json for programs and evaluation.html for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.bundle import Bundle
from models.evaluation.admission import RefusedStacks, counts_by_reason
from models.evaluation.bootstrap import Interval
from models.evaluation.curves import drawn_labels
from models.evaluation.measure import Evaluation
from models.evaluation.mistakes import Mistake
from models.evaluation.names import JSON_FILE, PAGE_FILE
from models.evaluation.plots import histogram_plot, precision_recall_plot, reliability_plot, roc_plot
from models.evaluation.predictions import Predictions
from models.evaluation.requirements import RequirementResult
from nightread.plain_text import safe_json, visible

_TEMPLATE = "page.html.j2"
HEADLINES = {
    "accuracy": "accuracy",
    "macro_roc_auc": "ROC-AUC",
    "macro_recall": "recall",
    "macro_precision": "precision",
    "macro_f1": "F1",
}
"""The heading of each figure that has an interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """The data of an evaluation."""

    reference: str
    """`KIND:PATH`, or the night."""
    part: str
    """train, validation or test; `production` for a night."""
    split: str
    """The kind of split: official, patient (no patient is in two parts) or image."""
    images: int
    frames: int
    patients: int | None
    unreadable: dict[str, int] = field(default_factory=dict)
    """Files that were left out, by reason."""
    undecodable_frames: int = 0
    """Frames that were left out because their pixels cannot be decoded."""
    refused_series: dict[str, int] = field(default_factory=dict)
    """Series of all parts that were left out because no bundle gives them a result, by reason."""
    refused_stacks: tuple[RefusedStacks, ...] = ()
    """Stacks of this part that were left out because the rules of the bundle refuse them."""
    warnings: tuple[str, ...] = ()
    """Sentences that say why the figures may be better than those of new images."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for evaluation.json, which names no file."""
        return {**asdict(self), "refused_stacks": counts_by_reason(self.refused_stacks)}


def document(
    evaluation: Evaluation, bundle: Bundle, material: Material, requirements: Sequence[RequirementResult] = ()
) -> dict[str, Any]:
    """Return the content of evaluation.json; `requirements` and `passed` are missing if nothing was required.

    For a bundle of unit series, `series` says how the results of series are made from the results of slices.
    """
    checks = [asdict(result) for result in requirements]
    return {
        "model": bundle.reference,
        "digest": bundle.digest,
        "not_for_diagnosis": bundle.not_for_diagnosis,
        "data": material.to_json(),
        "thresholds": dict(bundle.postprocessing.thresholds),
        "aggregate": bundle.postprocessing.aggregate,
        **({"series": bundle.series.to_json()} if bundle.series is not None else {}),
        "evaluation": evaluation.to_json(),
        **({"requirements": checks, "passed": all(result.met for result in requirements)} if checks else {}),
    }


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    *,
    predictions: Predictions,
    bundle: Bundle,
    material: Material,
    mistakes: list[Mistake] | None = None,
    requirements: Sequence[RequirementResult] = (),
) -> tuple[Path, Path]:
    """Write evaluation.json and evaluation.html; `mistakes` is None if there are no images to show.

    The digest of a bundle covers neither of these files.
    """
    page = render(
        evaluation,
        predictions=predictions,
        bundle=bundle,
        material=material,
        mistakes=mistakes,
        requirements=requirements,
    )
    content = document(evaluation, bundle, material, requirements)
    as_json = safe_json(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_FILE).write_text(as_json + "\n", encoding="utf-8")
    (folder / PAGE_FILE).write_text(page, encoding="utf-8")
    return folder / JSON_FILE, folder / PAGE_FILE


def render(
    evaluation: Evaluation,
    *,
    predictions: Predictions,
    bundle: Bundle,
    material: Material,
    mistakes: list[Mistake] | None = None,
    requirements: Sequence[RequirementResult] = (),
) -> str:
    """Return the page as HTML text that loads no other file."""
    return (
        page_templates()
        .get_template(_TEMPLATE)
        .render(
            evaluation=evaluation,
            bundle=bundle,
            material=material,
            mistakes=mistakes,
            requirements=requirements,
            wrong=int((~predictions.correct).sum()),
            headlines=[(HEADLINES[name], name) for name in HEADLINES],
            confusion=_confusion(evaluation),
            plots=_plots(evaluation, predictions),
        )
    )


def page_templates(*folders: Path) -> Environment:
    """Return the page templates of this folder and of `folders`. The pages load no other file."""
    templates = FileSystemLoader((Path(__file__).parent, *folders))
    environment = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.finalize = _plain
    environment.filters |= {"figure": _figure, "interval": _interval, "share": _share}
    return environment


def _plain(value: object) -> object:
    """Return a value for the page: a string with its control characters made visible, or any other value unchanged."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _plots(evaluation: Evaluation, predictions: Predictions) -> dict[str, Any]:
    """Return the SVG of each plot by name. Plots that are undefined for these data are missing."""
    plots: dict[str, Any] = {"hidden_histograms": 0}
    plots["reliability"] = Markup(reliability_plot(evaluation.reliability))  # noqa: S704 - Matplotlib escapes labels
    if drawn_labels(predictions):
        histograms, plots["hidden_histograms"] = histogram_plot(predictions)
        drawn = {
            "roc": roc_plot(predictions),
            "precision_recall": precision_recall_plot(predictions),
            "histograms": histograms,
        }
        plots |= {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704
    return plots


def _confusion(evaluation: Evaluation) -> list[tuple[str, int, list[tuple[int, float, bool]]]]:
    """Return a row per true label: its name, its images, and (count, share of the row, correct) per assigned label."""
    confusion = evaluation.confusion
    if confusion is None:
        return []
    return [
        (true, sum(row), [(count, count / max(sum(row), 1), true == given) for given, count in _cells(confusion, row)])
        for true, row in zip(confusion.truth, confusion.counts, strict=True)
    ]


def _cells(confusion: Any, row: tuple[int, ...]) -> list[tuple[str, int]]:
    return list(zip(confusion.given, row, strict=True))


def _figure(value: float | None) -> str:
    """Format a figure with four decimals, or with one significant digit if it is below 0.001."""
    if value is None:
        return "n/a"
    return f"{value:.1g}" if 0 < value < _NEARLY_ZERO else f"{value:.4f}"


def _interval(found: Interval | None) -> str:
    """Format both ends of an interval with four decimals."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f"{found.low:.4f} to {found.high:.4f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f}"


_NEARLY_ZERO = 0.001
