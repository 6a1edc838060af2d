"""Draw the plots of the page as SVG in the text colour of the page, so that they fit light, dark and print styles."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from models.evaluation.curves import Curve, drawn_labels, precision_recall, roc
from models.evaluation.predictions import Predictions
from models.evaluation.reliability import Reliability
from nightread.plain_text import visible

_INK = "#010203"
"""A placeholder that `_svg` replaces by `currentColor`, the text colour of the page."""
_COLOURS = (
    "#3b82c4",
    "#e07b39",
    "#3fa66b",
    "#c8504f",
    "#8d6cc1",
    "#a0765b",
    "#d177b3",
    "#8a8f98",
    "#a9a832",
    "#2fa7b5",
)
_SIZE = (4.4, 3.7)
_LINES_SIZE = (4.4, 2.6)
_FEW_EPOCHS = 30
_NAMED_CURVES = 12
_HISTOGRAMS = 12
_BINS = 30
_COUNTS = tuple(10.0**power for power in range(8))


def roc_plot(predictions: Predictions) -> str:
    """Draw sensitivity against 1 - specificity: one curve per label, and a dot at its threshold."""
    columns = drawn_labels(predictions)
    with _drawing("1 - specificity", "sensitivity") as (figure, axes):
        axes.plot((0, 1), (0, 1), color=_INK, alpha=0.3, linewidth=0.8, linestyle=(0, (4, 4)))
        _curves(axes, predictions, columns, [roc(predictions, column) for column in columns])
        for number, column in enumerate(columns):
            truth, assigned = predictions.truth[:, column], predictions.assigned[:, column]
            axes.plot(assigned[~truth].mean(), assigned[truth].mean(), "o", color=_colour(number), markersize=4.5)
        return _svg(figure)


def precision_recall_plot(predictions: Predictions) -> str:
    """Draw precision against recall, one curve per label."""
    columns = drawn_labels(predictions)
    with _drawing("recall", "precision") as (figure, axes):
        _curves(axes, predictions, columns, [precision_recall(predictions, column) for column in columns])
        return _svg(figure)


def reliability_plot(reliability: Reliability) -> str:
    """Draw the observed share against the mean confidence; the size of a dot grows with its number of predictions."""
    bins = [bin_ for bin_ in reliability.bins if bin_.answers]
    most = max(bin_.answers for bin_ in bins)
    with _drawing("confidence", "observed share") as (figure, axes):
        axes.plot((0, 1), (0, 1), color=_INK, alpha=0.3, linewidth=0.8, linestyle=(0, (4, 4)))
        across, up = [bin_.confidence for bin_ in bins], [bin_.observed for bin_ in bins]
        axes.plot(across, up, color=_colour(0), linewidth=1, alpha=0.5)  # type: ignore[arg-type]
        sizes = [10 + 110 * (bin_.answers / most) ** 0.5 for bin_ in bins]
        axes.scatter(across, up, sizes, color=_colour(0), alpha=0.85, linewidths=0)  # type: ignore[arg-type]
        return _svg(figure)


def histogram_plot(predictions: Predictions) -> tuple[str, int]:
    """Draw histograms of the scores of images with and without each label; the counts are on a logarithmic scale.

    Return the SVG and the number of labels that are not drawn: of more than 12 labels, the rarest are left out.
    """
    columns = drawn_labels(predictions)
    by_support = sorted(columns, key=lambda column: -int(predictions.truth[:, column].sum()))
    shown = sorted(by_support[:_HISTOGRAMS])
    across = min(len(shown), 4)
    down = -(-len(shown) // across)
    with mpl.rc_context(_style()):
        size = (_SIZE[0], 2.6) if len(shown) == 1 else (2.7 * across, 1.8 * down)
        figure = Figure(figsize=size, layout="constrained")
        for number, column in enumerate(shown):
            _histogram(figure.add_subplot(down, across, number + 1), predictions, column, legend=number == 0)
        return _svg(figure), len(columns) - len(shown)


def line_plot(lines: Mapping[str, Sequence[float]], up: str, *, marked: int = 0) -> str:
    """Draw one line per name: its figures by epoch, from 1. A dotted line marks the epoch `marked`, unless it is 0."""
    with mpl.rc_context(_style()):
        figure = Figure(figsize=_LINES_SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlabel="epoch", ylabel=up)
        for number, (name, values) in enumerate(lines.items()):
            epochs, few = range(1, len(values) + 1), len(values) <= _FEW_EPOCHS
            how: dict[str, Any] = {
                "marker": "o" if few else "",
                "markersize": 3,
                "linewidth": 1.5,
                "color": _colour(number),
            }
            axes.plot(epochs, values, label=_short(name), **how)
        if marked:
            axes.axvline(marked, color=_INK, alpha=0.45, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if 1 < len(lines) <= _NAMED_CURVES:
            axes.legend(frameon=False, fontsize=7.5)
        return _svg(figure)


def _histogram(axes: Axes, predictions: Predictions, column: int, *, legend: bool) -> None:
    truth, scores = predictions.truth[:, column], predictions.scores[:, column]
    edges = np.linspace(0, 1, _BINS + 1).tolist()
    axes.hist(scores[~truth], edges, color=_COLOURS[7], alpha=0.55, label="without")
    axes.hist(scores[truth], edges, color=_COLOURS[1], alpha=0.65, label="with")
    level = predictions.postprocessing.thresholds.get(predictions.labels[column])
    if level is not None:
        axes.axvline(level, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_locator(FixedLocator([0, *_COUNTS]))
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    axes.set_xlim(0, 1)
    axes.set_title(_short(predictions.labels[column]), fontsize=9)
    if legend:
        axes.legend(frameon=False, fontsize=7.5, loc=(0.53, 0.72), handlelength=1)


def _curves(axes: Axes, predictions: Predictions, columns: Sequence[int], curves: Sequence[Curve]) -> None:
    for number, (column, curve) in enumerate(zip(columns, curves, strict=True)):
        axes.plot(*curve, color=_colour(number), linewidth=1.6, label=_short(predictions.labels[column]))
    if 1 < len(columns) <= _NAMED_CURVES:
        axes.legend(frameon=False, fontsize=7.5, loc="lower right" if axes.get_ylabel() == "sensitivity" else "best")


@contextmanager
def _drawing(across: str, up: str) -> Iterator[tuple[Figure, Axes]]:
    """Open a square plot with both axes from 0 to 1."""
    with mpl.rc_context(_style()):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=across, ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        yield figure, axes


def _style() -> Any:
    """Return settings of Matplotlib. Plots must be created while they are active, because a plot keeps its colours."""
    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
    return dict.fromkeys(ink, _INK) | {
        "svg.fonttype": "none",
        "svg.hashsalt": "nightread",
        "text.parse_math": False,  # a label may hold a dollar sign
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.13,
        "grid.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
    }


def _svg(figure: Figure) -> str:
    """Return the svg element: transparent, in the font and the text colour of the page."""
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    text = target.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _short(label: str) -> str:
    """Shorten a label. Leading underscores are removed, because Matplotlib leaves such labels out of a legend."""
    label = visible(label)
    return (label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…").lstrip("_")


_LABEL = 22
