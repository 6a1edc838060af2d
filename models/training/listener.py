"""Define the interface through which a training run reports its progress."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.training.checkpoint import Progress


class Listener:
    """Ignores the progress of a training run; subclasses show it. Methods are called from several threads."""

    def begin(self, progress: Progress, folder: Path) -> None:
        """Report the plan and the complete epochs. `folder`, with the checkpoint, is deleted after the training."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage that takes `total` steps."""

    def advance(self, steps: int) -> None:
        """Advance the current stage by `steps`."""

    def epoch(self, number: int, total: int, figures: Mapping[str, float]) -> None:
        """Report that epoch `number` of `total`, counted from 1, is finished.

        `figures` are loss, accuracy, val_loss, val_accuracy, learning_rate and seconds.
        """

    def remark(self, text: str) -> None:
        """Show a message to the user."""

    def end(self, folder: Path) -> None:
        """Report that the bundle in `folder` is complete."""


class ListenerGroup(Listener):
    """Passes the progress on to several listeners."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners

    def begin(self, progress: Progress, folder: Path) -> None:
        """Pass the call on to all listeners."""
        for listener in self._listeners:
            listener.begin(progress, folder)

    def stage(self, name: str, total: int) -> None:
        """Pass the call on to all listeners."""
        for listener in self._listeners:
            listener.stage(name, total)

    def advance(self, steps: int) -> None:
        """Pass the call on to all listeners."""
        for listener in self._listeners:
            listener.advance(steps)

    def epoch(self, number: int, total: int, figures: Mapping[str, float]) -> None:
        """Pass the call on to all listeners."""
        for listener in self._listeners:
            listener.epoch(number, total, figures)

    def remark(self, text: str) -> None:
        """Pass the call on to all listeners."""
        for listener in self._listeners:
            listener.remark(text)

    def end(self, folder: Path) -> None:
        """Pass the call on to all listeners."""
        for listener in self._listeners:
            listener.end(folder)
