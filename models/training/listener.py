"""Define the interface through which a training run reports its progress."""

from collections.abc import Mapping


class Listener:
    """Ignores the progress of a training run; subclasses show it. Methods are called from several threads."""

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
