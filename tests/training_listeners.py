"""Listeners of trainings: one stores all calls, one interrupts the training."""

from pathlib import Path
from typing import Any

from models.training.checkpoint import Progress
from models.training.listener import Listener


class RecordingListener(Listener):
    """Stores all calls."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.stages: list[str] = []
        self.remarks: list[str] = []
        self.begun: list[int] = []
        """The number of complete epochs at each begin."""
        self.ended: list[Path] = []

    def begin(self, progress: Progress, folder: Path) -> None:  # noqa: ARG002, D102
        self.begun.append(progress.epochs)

    def end(self, folder: Path) -> None:  # noqa: D102
        self.ended.append(folder)

    def stage(self, name: str, total: int) -> None:  # noqa: ARG002, D102 - as the Listener's
        self.stages.append(name)

    def epoch(self, number: int, total: int, figures: Any) -> None:  # noqa: ARG002, D102
        self.epochs.append(number)

    def remark(self, text: str) -> None:  # noqa: D102
        self.remarks.append(text)


class FailingListener(Listener):
    """Interrupts the training after an epoch."""

    def __init__(self, *, fails_after: int) -> None:
        self.fails_after = fails_after

    def epoch(self, number: int, total: int, figures: Any) -> None:  # noqa: ARG002, D102
        if number == self.fails_after:
            raise KeyboardInterrupt
