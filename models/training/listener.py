"""What a training tells while it runs."""

from collections.abc import Mapping


class Listener:
    """Hears of everything and says nothing. Methods are called from several threads."""

    def stage(self, name: str, total: int) -> None:
        """Something begins that takes `total` steps."""

    def advance(self, steps: int) -> None:
        """So many steps more of the stage are done."""

    def epoch(self, number: int, of: int, figures: Mapping[str, float]) -> None:
        """Epoch `number`, counted from 1, is done: loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""

    def remark(self, text: str) -> None:
        """Something that a person should know."""
