"""Save and load the state of an unfinished training, in a folder."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nightread.errors import StopWork, UsageFault

FOLDER = "checkpoint"
History = dict[str, list[float]]
"""The values of all epochs, by name: loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""

_STATE = "state.json"
_PLAN = "plan.json"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a training."""

    plan: dict[str, Any]
    """The recipe and the data set; a resumed training must have the same."""
    history: History
    model: str = ""
    """`NAME@VERSION` of the bundle to make."""
    started_at: str = ""
    """The time of the first start of the training, ISO 8601 in UTC; empty if an older release started it."""

    @property
    def epochs(self) -> int:
        """Return the number of finished epochs."""
        return len(self.history.get("loss", ()))


class Checkpoint:
    """The history of a training, with weights and optimizer of its last and of its best epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def weights(self, epoch: int) -> Path:
        """Return the path of weights and optimizer after this epoch, counted from 1."""
        return self.folder / f"epoch-{epoch:04}.weights.h5"

    def exists(self) -> bool:
        """Return whether at least one epoch was saved."""
        return (self.folder / _STATE).is_file()

    def has_plan(self) -> bool:
        """Return whether a training was started here, even if no epoch was saved yet."""
        return self.exists() or (self.folder / _PLAN).is_file()

    def read(self) -> Progress:
        """Return the saved progress. Raises OSError, ValueError, KeyError or TypeError if it cannot be read."""
        state = json.loads((self.folder / (_STATE if self.exists() else _PLAN)).read_text("utf-8"))
        return Progress(
            plan=dict(state["plan"]),
            history=dict(state["history"]),
            model=str(state.get("model", "")),
            started_at=str(state.get("started_at", "")),
        )

    def begin(self, progress: Progress) -> None:
        """Delete the folder, create it again, and write the plan into it."""
        self.remove()
        self.folder.mkdir()
        (self.folder / _PLAN).write_text(json.dumps(asdict(progress)), encoding="utf-8")

    def load(self, plan: dict[str, Any]) -> Progress:
        """Return the saved progress.

        Raises UsageFault if it belongs to another recipe or data set, StopWork if it cannot be read.
        """
        try:
            progress = self.read()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StopWork(
                f"the unfinished training in {self.folder} cannot be read ({type(error).__name__}): "
                "start again with --overwrite."
            ) from error
        wanted = json.loads(json.dumps(plan))
        differing = [name for name in wanted if wanted[name] != progress.plan.get(name)]
        if differing:
            raise UsageFault(
                f"the training in {self.folder} was started with another {', '.join(differing)}: "
                "resume with the same options, or start again with --overwrite"
            )
        return progress

    def save(self, model: Any, progress: Progress, *, best: int) -> None:
        """Save an epoch. If the process is killed at any time, this epoch or the previous one remains complete."""
        self.folder.mkdir(parents=True, exist_ok=True)
        model.save_weights(self.weights(progress.epochs))
        state = self.folder / f"{_STATE}.new"
        state.write_text(json.dumps(asdict(progress)), encoding="utf-8")
        state.replace(self.folder / _STATE)
        for path in self.folder.glob(self.weights(0).name.replace("0000", "*")):
            if path not in (self.weights(progress.epochs), self.weights(best)):
                path.unlink()

    def remove(self) -> None:
        """Delete the folder, if it exists."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
