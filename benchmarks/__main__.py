"""Measure all rows of the speed budget (`make bench`), or one row: `python -m benchmarks --only latency`."""

import sys
import traceback
from pathlib import Path

import click
from rich.console import Console

from benchmarks import table
from benchmarks.figures import Figure
from benchmarks.plan import Plan
from benchmarks.rows import EXTRA, ROWS
from nightread.hardware import slots
from nightread.settings import load_settings

console = Console(width=150 if not sys.stdout.isatty() else None)


@click.command()
@click.option(
    "--only", "chosen", type=click.Choice([*ROWS, *EXTRA]), multiple=True, help="Measure only this row; repeatable."
)
@click.option("--quick", is_flag=True, help="Measure a few images once, to check that the benchmark works.")
@click.option("--repeat", type=click.IntRange(1), help="Number of repetitions of each row [3; 1 with --quick].")
@click.option(
    "--series", type=click.IntRange(1, 4000), help="Number of series of the row series [1000; 2 with --quick]."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="File for all values as JSON."
)
def main(chosen: tuple[str, ...], quick: bool, repeat: int | None, series: int | None, json_file: Path | None) -> None:
    """Measure the rows of the speed budget and print one table. Exit code 1: a row could not be measured."""
    processes, repeat = slots(load_settings()), repeat or (1 if quick else 3)
    plan = Plan(processes=processes, repeat=repeat, quick=quick, log=_log, series=series)
    figures: list[Figure] = []
    failed = False
    for name in chosen or ROWS:
        console.rule(name)
        try:
            for figure in (ROWS | EXTRA)[name](plan):
                figures.append(figure)
                _log(table.line(figure))
        except Exception as error:  # noqa: BLE001 - shown; the other rows, which take an hour, are kept
            console.print(traceback.format_exc(), markup=False, highlight=False)
            figures.append(Figure(name=name, note=f"could not be measured: {type(error).__name__}"))
            failed = True
        if json_file:
            table.write(json_file, figures, plan)
    table.show(console, figures, plan)
    sys.exit(failed)


def _log(line: str) -> None:
    console.print(line, markup=False, highlight=False)


if __name__ == "__main__":
    main()
