"""Run `nightread models runs`: list trainings with their figures, recipes and learning curves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from api.export import export_rows
from cli.inputs.options import settings_from, state_options
from cli.output.console import err, out, print_json
from cli.output.tables import make_table, show
from models.catalogue import SHIPPED
from models.training.runs import FIGURES, FINISHED, RUNNING, TrainingRun, training_runs
from nightread.errors import UsageFault
from nightread.wording import duration

_NEWEST = "newest"
_SORTS = {
    "accuracy": "accuracy",
    "auc": "macro_roc_auc",
    "recall": "macro_recall",
    "precision": "macro_precision",
    "f1": "macro_f1",
    "loss": "loss",
}
"""The figure for each value of --sort. For `loss` the lowest value comes first, for other figures the highest."""
_STYLES = {FINISHED: "green", RUNNING: "cyan"}
_COLUMNS = (
    *("model", "state", "problem", "folder", "digest", "started_at", "ended_at", "seconds", "data", "split", "labels"),
    *("train_images", "validation_images", "test_images", "epochs", "best_epoch", "parameters"),
    *(column for name in FIGURES if name != "loss" for column in (name, f"{name}_low", f"{name}_high")),
    *("loss", "better_than_chance", "warnings"),
)


@click.command("runs")
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--sort",
    type=click.Choice([_NEWEST, *_SORTS]),
    default=_NEWEST,
    show_default=True,
    help="The newest training first, or the training with the best figure on the test part first.",
)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write an HTML page with recipes, figures and learning curves.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="json has recipes and histories, csv one column per setting of the recipe.",
)
@state_options
def runs_command(folders: tuple[Path, ...], sort: str, page: Path | None, style: str, **options: Any) -> None:
    """List trainings with their figures, recipes and learning curves.

    A training is found by its folder: the folder of its bundle, or its --out if it runs or can be resumed. FOLDER is
    such a folder, or a folder that contains several of these. Without FOLDER, all folders of models are searched. The
    figures were measured once, on the test part, at the end of the training.

    \b
    Examples:
      nightread models runs
      nightread models runs experiments --sort auc --page runs.html
      nightread models runs experiments --format csv > runs.csv
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    runs = _sorted(training_runs(folders or (SHIPPED, *settings.bundle_folders)), sort)
    if page is not None:
        _write_page(runs, page)
    if style == "json":
        print_json([_as_json(run) for run in runs])
    elif style == "csv":
        export_rows(iter(_as_rows(runs)), _columns(runs), "csv", None)
    else:
        _show_table(runs)
    if page is not None:
        err.print(Text(f"Wrote {page}"))


def _sorted(runs: list[TrainingRun], sort: str) -> list[TrainingRun]:
    """Return the runs in the wanted order; runs without the figure come last."""
    if sort == _NEWEST:
        return runs
    figure, sign = _SORTS[sort], 1 if sort == "loss" else -1
    return sorted(runs, key=lambda run: (run.figures.get(figure) is None, sign * (run.figures.get(figure) or 0)))


def _write_page(runs: Sequence[TrainingRun], page: Path) -> None:
    try:
        from models.training.runs_page import write_runs  # noqa: PLC0415 - Matplotlib takes a second to import
    except ImportError as error:
        raise UsageFault(f"--page needs {error.name}: pip install 'nightread[train]'.") from error
    try:
        write_runs(runs, page)
    except OSError as error:
        raise UsageFault(f"Cannot write {page} ({type(error).__name__}). Choose another file with --page.") from error


def _show_table(runs: Sequence[TrainingRun]) -> None:
    headings = (
        "model",
        "state",
        "network",
        "data",
        "epochs",
        "time",
        "accuracy",
        "ROC-AUC",
        "95 % interval",
        "started",
    )
    table = make_table(out, *headings, right=("epochs", "time", "accuracy", "ROC-AUC"))
    for run in runs:
        table.add_row(
            Text(run.model),
            Text(run.state, style=_STYLES.get(run.state, "yellow")),
            Text(str(run.recipe.get("network", ""))),
            Text(str(run.data.get("reference", ""))),
            f"{run.epochs}/{run.planned_epochs}" if run.recipe else "",
            duration(run.seconds) if run.epochs else "",
            _figure(run, "accuracy"),
            _figure(run, "macro_roc_auc"),
            _interval(run, "macro_roc_auc"),
            Text((run.started_at or "").replace("T", " ").removesuffix("+00:00")),
        )
    show(out, table)
    for run in runs:
        for remark in _remarks(run):
            out.print(Text(f"{run.model} ({run.folder}): {remark}"), style="yellow")
    if not runs:
        out.print("No training was found. `nightread models train` makes one.")


def _remarks(run: TrainingRun) -> tuple[str, ...]:
    if run.problem:
        return (run.problem,)
    return tuple(text for text in run.warnings if text.startswith(("Leakage", "Not shown to be better than chance:")))


def _figure(run: TrainingRun, name: str) -> str:
    value = run.figures.get(name)
    return "" if value is None else f"{value:.4f}"


def _interval(run: TrainingRun, name: str) -> str:
    low, high = run.intervals.get(name, (None, None))
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _as_json(run: TrainingRun) -> dict[str, Any]:
    """Return everything that is known about a training. The names are part of the interface and do not change."""
    return {
        "model": run.model,
        "state": run.state,
        "problem": run.problem,
        "folder": str(run.folder),
        "digest": run.digest,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds": round(run.seconds, 3),
        "epochs": run.epochs,
        "best_epoch": run.best_epoch,
        "parameters": run.parameters,
        "figures": dict(run.figures),
        "intervals": {name: {"low": low, "high": high} for name, (low, high) in run.intervals.items()},
        "better_than_chance": run.better_than_chance,
        "warnings": list(run.warnings),
        "data": dict(run.data),
        "recipe": dict(run.recipe),
        "history": dict(run.history),
        "versions": dict(run.versions),
    }


def _columns(runs: Sequence[TrainingRun]) -> tuple[str, ...]:
    settings = dict.fromkeys(f"recipe.{name}" for run in runs for name in run.settings)
    return (*_COLUMNS, *settings)


def _as_rows(runs: Sequence[TrainingRun]) -> list[dict[str, Any]]:
    """Return one row per training with all columns; a value that the training does not have is None."""
    return [dict.fromkeys(_columns(runs)) | _as_row(run) for run in runs]


def _as_row(run: TrainingRun) -> dict[str, Any]:
    known = _as_json(run)
    images = run.data.get("images", {})
    return {
        **{name: known[name] for name in _COLUMNS if name in known},
        "data": run.data.get("reference"),
        "split": run.data.get("split"),
        "labels": " ".join(map(str, run.data.get("labels", ()))),
        "warnings": " ".join(run.warnings),
        **{f"{part}_images": images.get(part) for part in ("train", "validation", "test")},
        **run.figures,
        **{f"{name}_low": low for name, (low, _) in run.intervals.items()},
        **{f"{name}_high": high for name, (_, high) in run.intervals.items()},
        **{f"recipe.{name}": _cell(value) for name, value in run.settings.items()},
    }


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
