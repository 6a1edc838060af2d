"""A training that is not finished: the state after its last whole epoch, in a folder."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightread.errors import StopWork, UsageFault

FOLDER = "checkpoint"
History = dict[str, list[float]]
"""One value per epoch: loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""

_STATE = "state.json"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training came."""

    plan: dict[str, Any]
    """Recipe and data: a run that goes on must have the same."""
    history: History

    @property
    def epochs(self) -> int:
        """Those that are done."""
        return len(self.history.get("loss", ()))


class Checkpoint:
    """The history, and weights and optimizer of the last epoch and of the best one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def weights(self, epoch: int) -> Path:
        """Weights and optimizer after this epoch, counted from 1."""
        return self.folder / f"epoch-{epoch:04}.weights.h5"

    def exists(self) -> bool:
        """Whether at least one epoch was kept."""
        return (self.folder / _STATE).is_file()

    def load(self, plan: dict[str, Any]) -> Progress:
        """What was kept. Raises UsageFault where it belongs to another recipe or other data, StopWork where broken."""
        try:
            state = json.loads((self.folder / _STATE).read_text("utf-8"))
            progress = Progress(plan=dict(state["plan"]), history=dict(state["history"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StopWork(f"{self.folder} cannot be read ({type(error).__name__}): train with --overwrite.") from error
        wanted = json.loads(json.dumps(plan))
        differing = [name for name in wanted if wanted[name] != progress.plan.get(name)]
        if differing:
            raise UsageFault(
                f"the training in {self.folder} had another {', '.join(differing)}: resume with the same options, "
                "or start anew with --overwrite"
            )
        return progress

    def save(self, model: Any, progress: Progress, *, best: int) -> None:
        """Keep an epoch; killed at any moment, this one or the one before it remains whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        model.save_weights(self.weights(progress.epochs))
        state = self.folder / f"{_STATE}.new"
        state.write_text(json.dumps({"plan": progress.plan, "history": progress.history}), encoding="utf-8")
        state.replace(self.folder / _STATE)
        for path in self.folder.glob(self.weights(0).name.replace("0000", "*")):
            if path not in (self.weights(progress.epochs), self.weights(best)):
                path.unlink()

    def remove(self) -> None:
        """The training is finished, or given up."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
