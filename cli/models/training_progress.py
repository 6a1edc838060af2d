"""Show the progress of a training on standard error."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.output.console import err
from models.training.listener import Listener
from nightread.wording import duration


class TrainingProgress(Listener):
    """A context manager that prints a line for each epoch and remark, and on a terminal also progress bars."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str, total: int) -> None:
        """Start a new progress bar."""
        self._bar.reset(self._task, description=name, total=total)

    def advance(self, steps: int) -> None:
        """Advance the progress bar."""
        self._bar.advance(self._task, steps)

    def epoch(self, number: int, total: int, figures: Mapping[str, float]) -> None:
        """Print one line for a finished epoch."""
        shown = ", ".join(
            f"{name.replace('val_', 'validation ').replace('binary_', '')} {value:.4f}"
            for name, value in figures.items()
            if name not in ("seconds", "learning_rate")
        )
        err.print(f"epoch {number}/{total}: {shown} ({duration(figures['seconds'])})", markup=False)

    def remark(self, text: str) -> None:
        """Print a remark."""
        err.print(text, markup=False, style="yellow")
