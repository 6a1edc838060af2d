"""Print which requirements an evaluation meets."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cli.output.tables import make_table, show
from models.evaluation.requirements import RequirementResult


def show_requirements(console: Console, results: Sequence[RequirementResult]) -> None:
    """Print one line per requirement; nothing if nothing was required."""
    if not results:
        return
    table = make_table(console, "requirement", "value", "result", right=["value"])
    for result in results:
        value = "n/a" if result.value is None else f"{result.value:.4f}"
        table.add_row(
            Text(result.requirement),
            value,
            Text("met" if result.met else "not met", style="green" if result.met else "red"),
        )
    console.print()
    show(console, table)
