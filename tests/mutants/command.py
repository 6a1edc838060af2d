"""Run mutation tests from the command line, and print a table and the survivors."""

import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from mutants.campaign import FOLDER, ModuleResult, Plan, try_group
from mutants.groups import GROUPS
from mutants.results import is_noticed

LEAST_PERCENT = 90
_console = Console(width=160, highlight=False)


@click.command("mutants")
@click.argument("modules", nargs=-1)
@click.option("--sample", type=int, help="Try only this number of mutants per module.")
@click.option("--seed", default=1, show_default=True, help="Seed of the sample.")
@click.option("--minutes", type=float, help="Start no trial after this time; the next run continues.")
@click.option("--processes", default=1, show_default=True, help="Number of trials at a time.")
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, help="Folder for results and logs.")
def main(
    *, modules: tuple[str, ...], sample: int | None, seed: int, minutes: float | None, processes: int, folder: Path
) -> None:
    """Change one expression or statement at a time, and check that a test fails.

    MODULES are names of groups or beginnings of paths, such as `ledger` or `imaging/frames.py`. Exit code 1: fewer than
    90 % of the mutants of a group were noticed.
    """
    deadline = time.monotonic() + minutes * 60 if minutes is not None else float("inf")
    named = [group for group in GROUPS if group.name in modules]
    paths = tuple(module for module in modules if module not in {group.name for group in named})
    results = {}
    for group in GROUPS:
        if modules and group not in named and not paths:
            continue
        only = () if not modules or group in named else paths
        plan = Plan(
            modules=only, sample=sample, seed=seed, deadline=deadline, processes=processes, folder=folder.absolute()
        )
        if found := [_shown(result) for result in try_group(group, plan)]:
            results[group.name] = found
    _print_table(results)
    raise SystemExit(int(any(_percent(found) < LEAST_PERCENT for found in results.values())))


def _shown(result: ModuleResult) -> ModuleResult:
    """Print the survivors of a module as soon as it is done."""
    for mutant, verdict in result.verdicts:
        if not is_noticed(verdict):
            _console.print(f"{verdict}: {result.module}:{mutant.line}: {mutant.identity}", markup=False, soft_wrap=True)
    return result


def _noticed(results: Sequence[ModuleResult]) -> int:
    return sum(is_noticed(verdict) for result in results for _, verdict in result.verdicts)


def _tried(results: Sequence[ModuleResult]) -> int:
    return sum(len(result.verdicts) for result in results)


def _percent(results: Sequence[ModuleResult]) -> float:
    return 100 * _noticed(results) / _tried(results) if _tried(results) else 100.0


def _print_table(results: dict[str, list[ModuleResult]]) -> None:
    table = Table()
    for name in ("module", "mutants", "equivalent", "tried", "noticed", "survived", "noticed %"):
        table.add_column(name, justify="left" if name == "module" else "right", overflow="fold")
    for name, found in results.items():
        for result in found:
            table.add_row(f"  {result.module}", *_figures([result]))
        table.add_row(name, *_figures(found), style="bold", end_section=True)
    _console.print(table)


def _figures(results: Sequence[ModuleResult]) -> tuple[str, ...]:
    tried, noticed = _tried(results), _noticed(results)
    totals = (sum(result.total for result in results), sum(result.equivalent for result in results))
    percent = f"{_percent(results):.0f}" if tried else ""
    return (*map(str, (*totals, tried, noticed, tried - noticed)), percent)
