"""Print the table of figures, and write it as JSON."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.figures import Figure
from benchmarks.plan import Plan
from nightread import __version__

_MET = {True: Text("met", "green"), False: Text("NOT MET", "bold red"), None: Text("reported", "dim")}


def show(console: Console, figures: Sequence[Figure], plan: Plan) -> None:
    """Print one row per figure. The row of a figure that misses its target explains what limits it."""
    table = Table(title=_title(plan), caption=_CAPTION, show_lines=True)
    for heading in ("figure", "median (min-max)", "target", ""):
        table.add_column(heading, justify="right" if heading.startswith("median") else "left")
    table.add_column("details, and what limits a missed figure", overflow="fold")
    for figure in figures:
        table.add_row(figure.name, _values(figure), str(figure.target or ""), _MET[figure.is_met], _explain(figure))
    console.print(table)


def line(figure: Figure) -> str:
    """Return a figure as one line of text, which is shown as soon as it is known."""
    return f"{figure.name}: {_values(figure)}; {_explain(figure)}".removesuffix("; ").replace("\n", "; ")


def write(path: Path, figures: Sequence[Figure], plan: Plan) -> None:
    """Write all values of all figures, and a description of the machine."""
    content = {
        "release": __version__,
        "machine": _machine(),
        "quick": plan.quick,
        "repeat": plan.repeat,
        "processes": plan.processes,
        "figures": [figure.to_json() for figure in figures],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _explain(figure: Figure) -> str:
    if figure.is_met is not False:
        return figure.note
    if figure.bound_by in ("", figure.note):
        return f"limited by: {figure.note or 'unknown'}"
    return f"{figure.note}\nlimited by: {figure.bound_by}"


def _title(plan: Plan) -> str:
    kind = "QUICK TRIAL: the figures mean nothing; " if plan.quick else ""
    return f"{kind}{_machine()}; {plan.processes} worker processes, {plan.repeat} repetitions"


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} x {platform.machine()}, {memory:.0f} GiB, Python {platform.python_version()}"


def _values(figure: Figure) -> str:
    if not figure.values:
        return "-"
    lowest, highest = min(figure.values), max(figure.values)
    spread = f" ({_short(lowest)}-{_short(highest)})" if len(figure.values) > 1 else ""
    return f"{_short(figure.median)}{spread} {figure.unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


_CAPTION = (
    "Not included: imports, loading and tracing the network, the first batches of each process, and the end of "
    "processes. Files are in the page cache. A ratio compares runs in turns; above 1 the pipeline is faster."
)
