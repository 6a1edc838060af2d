"""List trainings: finished ones by the records in their bundles, unfinished ones by their checkpoints."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.bundle import CARD_FILE, TRAINING_FILE, read_card
from models.evaluation.names import JSON_FILE
from models.training.checkpoint import FOLDER, Checkpoint, History, Progress
from models.training.out_folder import is_reserved
from models.training.schedule import best_epoch
from nightread.errors import StopWork

FINISHED, RUNNING, UNFINISHED, UNREADABLE = STATES = ("finished", "running", "unfinished", "unreadable")
FIGURES = ("accuracy", "macro_roc_auc", "macro_recall", "macro_precision", "macro_f1", "loss")
"""Figures of the test part, as evaluation.json names them."""
_CHANCE = 0.5


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One training, as its folder describes it. A value is None or empty if the training or its record has none."""

    folder: Path
    model: str
    """`NAME@VERSION`, or the name of the folder."""
    state: str
    """`finished`: there is a bundle; `running`: a process trains now; `unfinished`: it can be resumed; `unreadable`."""
    problem: str | None = None
    """The reason why the record cannot be read; None if it can be read."""
    digest: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=dict)
    started_at: str | None = None
    """The time of the first start, ISO 8601 in UTC; None for trainings of older releases."""
    ended_at: str | None = None
    """The time at which the last epoch ended, ISO 8601 in UTC."""
    parameters: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float | None] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """The 95 % intervals of some figures: (low, high)."""
    warnings: tuple[str, ...] = ()
    """Warnings of the data, and notes of the evaluation."""

    @property
    def epochs(self) -> int:
        """Return the number of complete epochs."""
        return len(self.history.get("loss", ()))

    @property
    def planned_epochs(self) -> int | None:
        """Return the number of epochs in the recipe."""
        return self.recipe.get("epochs")

    @property
    def best_epoch(self) -> int:
        """Return the epoch with the lowest validation loss, counted from 1; 0 if there is none."""
        return best_epoch(self.history.get("val_loss", ()))

    @property
    def seconds(self) -> float:
        """Return the time of all epochs in seconds."""
        return sum(self.history.get("seconds", ()))

    @property
    def better_than_chance(self) -> bool | None:
        """Return whether the interval of the ROC-AUC lies above 0.5; None if it is unknown."""
        low, _ = self.intervals.get("macro_roc_auc", (None, None))
        return None if low is None else low > _CHANCE

    @property
    def settings(self) -> dict[str, Any]:
        """Return the recipe with one plain value per name: `spec.height`, `augmentation.flip`, ..."""
        return flat_settings(self.recipe)


def flat_settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe with one plain value per name: `spec.height`, `augmentation.flip`, ..."""
    return dict(_flat(recipe))


def training_runs(folders: Sequence[Path]) -> list[TrainingRun]:
    """List the trainings in these folders and in their sub-folders, the newest first.

    Trainings of older releases have no date and come last. A folder that cannot be read counts as empty.
    """
    places = dict.fromkeys(path.resolve() for folder in folders for path in _places(folder))
    found = [run for place in places for run in _runs_in(place)]
    by_name = sorted(found, key=lambda run: (run.model, str(run.folder)))
    return sorted(by_name, key=lambda run: run.started_at or "", reverse=True)


def differing_settings(runs: Sequence[TrainingRun]) -> list[str]:
    """Return the names of the settings whose values are not the same in all runs, in the order of the recipe.

    A setting that a run lacks, because its release did not know it, is not a difference.
    """
    settings = [run.settings for run in runs]
    names = dict.fromkeys(name for of in settings for name in of)
    return [name for name in names if len({repr(of[name]) for of in settings if name in of}) > 1]


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    try:
        yield from sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return


def _runs_in(folder: Path) -> Iterator[TrainingRun]:
    """Yield the training that made the bundle of this folder, and the unfinished training that may replace it."""
    try:
        if (folder / TRAINING_FILE).is_file() and (folder / CARD_FILE).is_file():
            yield from _finished(folder)
        checkpoint = Checkpoint(folder / FOLDER)
        if checkpoint.has_plan():
            yield from _unfinished(folder, checkpoint.read())
    except (StopWork, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = str(error) if isinstance(error, StopWork) else f"its records are damaged ({type(error).__name__})"
        yield TrainingRun(folder=folder, model=folder.name, state=UNREADABLE, problem=problem)


def _finished(folder: Path) -> Iterator[TrainingRun]:
    card, record = read_card(folder), _read(folder / TRAINING_FILE)
    model = f"{card['name']}@{card['version']}"
    if record.get("model", model) != model:
        return  # `models export` made this bundle from another and copied the record
    measured = _evaluation(folder, card.get("digest"))
    yield TrainingRun(
        folder=folder,
        model=model,
        state=FINISHED,
        digest=card.get("digest"),
        recipe=dict(record["recipe"]),
        data=dict(record["data"]),
        history=dict(record["history"]),
        started_at=record.get("started_at"),
        ended_at=record.get("ended_at"),
        parameters=record.get("parameters"),
        versions=dict(record.get("versions", {})),
        figures={name: measured.get(name) for name in FIGURES} if measured else {},
        intervals={name: (of["low"], of["high"]) for name, of in measured.get("intervals", {}).items()},
        warnings=(*record.get("warnings", ()), *measured.get("notes", ())),
    )


def _unfinished(folder: Path, progress: Progress) -> Iterator[TrainingRun]:
    """Yield the training that runs or can be resumed; nothing if it ended before its first epoch was complete."""
    running = is_reserved(folder)
    if not running and not progress.epochs:
        return
    yield TrainingRun(
        folder=folder,
        model=progress.model or folder.name,
        state=RUNNING if running else UNFINISHED,
        recipe=dict(progress.plan["recipe"]),
        data=dict(progress.plan["data"]),
        history=progress.history,
        started_at=progress.started_at or None,
    )


def _evaluation(folder: Path, digest: str | None) -> dict[str, Any]:
    """Return the figures of this bundle on its test part; empty if there are none."""
    if not (folder / JSON_FILE).is_file():
        return {}
    document = _read(folder / JSON_FILE)
    fits = document.get("digest") == digest and document["data"]["part"] == "test"
    return dict(document["evaluation"]) if fits else {}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value
