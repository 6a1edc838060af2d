"""Print which requirements an evaluation meets."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cli.output.tables import make_table, show
from models.evaluation.requirements import RequirementResult


def show_requirements(console: Console, results: Sequence[RequirementResult]) -> None:
    """Print one line per requirement; print nothing if there is no requirement."""
    if not results:
        return
    table = make_table(console, "requirement", "value", "result", right=["value"])
    for result in results:
        table.add_row(
            Text(result.requirement),
            _value(result.value),
            Text("met" if result.met else "not met", style="green" if result.met else "red"),
        )
    console.print()
    show(console, table)


def _value(value: float | None) -> str:
    """Format a share with four decimals, and a number of images as a whole number."""
    if value is None:
        return "n/a"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
