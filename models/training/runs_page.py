"""Write trainings as an HTML page: figures, what differs in their recipes, learning curves."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from models.evaluation.bootstrap import Interval
from models.evaluation.names import PAGE_FILE
from models.evaluation.page import HEADLINES, page_templates
from models.evaluation.plots import line_plot
from models.training.runs import FINISHED, TrainingRun, differing_settings
from nightread.wording import duration

_TEMPLATE = "runs_page.html.j2"
_FIGURES = (*HEADLINES.items(), ("loss", "log loss"))
_COMPARED = ("accuracy", "macro_roc_auc", "macro_f1", "loss")
"""Figures of the table of all trainings; more do not fit side by side."""
_MOST_TOGETHER = 10
"""The largest number of trainings whose validation curves are drawn in one plot, because there are ten colours."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A training, as the page shows it."""

    run: TrainingRun
    number: int
    """The position of the training on the page, counted from 1."""
    plots: Sequence[Markup]
    evaluation: str | None
    """The address of the page with the evaluation of the training, relative to this page."""

    @property
    def anchor(self) -> str:
        """Return the anchor of the section of this training."""
        return f"run-{self.number}"

    @property
    def images(self) -> Mapping[str, str]:
        """Return the number of images by part."""
        return {part: f"{count:,}" for part, count in self.run.data.get("images", {}).items()}

    @property
    def epochs(self) -> str:
        """Return complete and planned epochs."""
        return f"{self.run.epochs}/{self.run.planned_epochs}" if self.run.recipe else ""

    @property
    def time(self) -> str:
        """Return the time of all epochs."""
        return duration(self.run.seconds) if self.run.epochs else ""

    @property
    def summary(self) -> str:
        """Return network, epochs, time and start in one line."""
        run = self.run
        if not run.recipe:
            return ""
        began = (run.started_at or "").replace("T", " ").removesuffix("+00:00")
        facts = (str(run.recipe.get("network")), f"{self.epochs} epochs", self.time, began and f"started {began}")
        return ", ".join(filter(None, facts))

    def interval(self, name: str) -> Interval | None:
        """Return the 95 % interval of a figure."""
        ends = self.run.intervals.get(name)
        return None if ends is None else Interval(low=ends[0], high=ends[1])


def write_runs(runs: Sequence[TrainingRun], page: Path) -> None:
    """Write the page of trainings. It loads no other file, and links to the evaluations that exist. Raises OSError."""
    shown = [_shown(run, number, _evaluation(run, page)) for number, run in enumerate(runs, start=1)]
    page.write_text(_render(shown, "Trainings"), encoding="utf-8")


def write_run(run: TrainingRun, page: Path) -> None:
    """Write the page of a single training, in the same form as the page of several. Raises OSError."""
    page.write_text(_render([_shown(run, 1, None)], run.model), encoding="utf-8")


def _render(shown: Sequence[_Shown], title: str) -> str:
    templates = page_templates(Path(__file__).parent)
    templates.filters |= {"words": _words, "setting": _setting}
    runs = [of.run for of in shown]
    return templates.get_template(_TEMPLATE).render(
        title=title,
        runs=shown,
        unfinished=sum(run.state != FINISHED for run in runs),
        figures=_FIGURES,
        compared=[(name, heading) for name, heading in _FIGURES if name in _COMPARED],
        differing=differing_settings(runs),
        together=list(_together(runs)),
    )


def _shown(run: TrainingRun, number: int, evaluation: str | None) -> _Shown:
    return _Shown(run=run, number=number, plots=list(_plots(run)), evaluation=evaluation)


def _plots(run: TrainingRun) -> Iterator[Markup]:
    """Yield one plot for the loss and one for the accuracy: training and validation by epoch."""
    for name in _measured(run):
        lines = {"training": run.history[name], "validation": run.history[f"val_{name}"]}
        yield Markup(line_plot(lines, _title(name), marked=run.best_epoch))  # noqa: S704 - Matplotlib escapes labels


def _together(runs: Sequence[TrainingRun]) -> Iterator[tuple[Markup, str]]:
    """Yield a plot of the validation loss of several trainings and one of their accuracy, each with its caption."""
    trained = [run for run in runs if run.epochs][:_MOST_TOGETHER]
    if len(trained) < 2:  # noqa: PLR2004 - a single training is drawn below
        return
    for title in ("loss", "accuracy"):
        lines = {
            _named(run, number): run.history[f"val_{name}"]
            for number, run in enumerate(trained, start=1)
            for name in _measured(run)
            if _title(name) == title
        }
        left_out = "" if len(trained) == len(runs) else f" Shown: the first {len(trained)} trainings that have epochs."
        caption = f"{title.capitalize()} of the validation part by epoch.{left_out}"
        yield Markup(line_plot(lines, f"validation {title}")), caption  # noqa: S704


def _measured(run: TrainingRun) -> list[str]:
    """Return the names of loss and accuracy that the history has for training and for validation."""
    names = sorted(run.history, key=lambda name: name != "loss")
    wanted = (name for name in names if name == "loss" or name.endswith("accuracy"))
    return [name for name in wanted if not name.startswith("val_") and f"val_{name}" in run.history]


def _named(run: TrainingRun, number: int) -> str:
    return f"{number}. {run.model}"


def _title(name: str) -> str:
    return "loss" if name == "loss" else "accuracy"


def _evaluation(run: TrainingRun, page: Path) -> str | None:
    if not (run.folder / PAGE_FILE).is_file():
        return None
    return quote(Path(os.path.relpath(run.folder / PAGE_FILE, page.resolve().parent)).as_posix())


def _words(name: str) -> str:
    """Return the name of a setting for people; `spec` is called `input`."""
    return name.replace("spec.", "input ").replace(".", " ").replace("_", " ")


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
