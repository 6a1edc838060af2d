"""Draw loss and accuracy per epoch."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.training.checkpoint import History
from models.training.schedule import best_epoch

CURVES_FILE = "learning_curves.png"
_TRAINING, _VALIDATION, _BEST = "#4477aa", "#cc6633", "#888888"


def draw_learning_curves(history: History, path: Path, *, title: str) -> None:
    """Write a PNG with a plot of the loss and one of the accuracy, for training and validation.

    A line marks the epoch with the lowest validation loss.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    accuracy = next(name for name in history if name.endswith("accuracy") and not name.startswith("val_"))
    for axes, name, label in zip(figure.subplots(1, 2), ("loss", accuracy), ("loss", "accuracy"), strict=True):
        _draw(axes, history, name)
        axes.set_ylabel(label)
    figure.savefig(path, dpi=120)


def _draw(axes: Any, history: History, name: str) -> None:
    epochs = range(1, len(history[name]) + 1)
    axes.plot(epochs, history[name], marker="o", markersize=3, color=_TRAINING, label="training")
    axes.plot(epochs, history[f"val_{name}"], marker="o", markersize=3, color=_VALIDATION, label="validation")
    best = best_epoch(history["val_loss"])
    axes.axvline(best, color=_BEST, linewidth=1, linestyle=":", label=f"lowest validation loss (epoch {best})")
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, len(history[name]) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
