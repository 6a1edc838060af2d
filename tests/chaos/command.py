"""Run the chaos tests from the command line, and print a table of each run and one of all runs."""

import json
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from chaos.arrivals import plan_files
from chaos.expected_outcomes import expected_outcomes
from chaos.run import RunResult, run

_console = Console(width=120, highlight=False)
_DATABASES = ("sqlite", "postgresql")


@click.command("chaos")
@click.option("--seed", "seeds", type=int, multiple=True, default=(1,), help="Can be given several times [1].")
@click.option("--database", "databases", type=click.Choice(_DATABASES), multiple=True, default=("sqlite",))
@click.option("--minutes", default=10.0, show_default=True, help="Time during which files arrive.")
@click.option("--faults", default=38, show_default=True, help="Number of faults in each run.")
@click.option("--images", default=3000, show_default=True, help="Number of file names in each run.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the results to this file.")
@click.option("--keep", is_flag=True, help="Keep the folders of runs without violations, too.")
def main(
    seeds: Sequence[int],
    databases: Sequence[str],
    minutes: float,
    faults: int,
    images: int,
    output: Path | None,
    keep: bool,
) -> None:
    """Inject faults into the whole system at random moments.

    Exit code 1: an image was lost, done twice or left unfinished.
    """
    results = []
    for seed in seeds:
        arrivals = plan_files(seed, images, minutes * 60)
        _log(f"seed {seed}: {len(arrivals)} files; running once without faults for the expected outcomes")
        expected = expected_outcomes(arrivals)
        for database in databases:
            folder = Path(tempfile.mkdtemp(prefix="nr-chaos-"))
            folder.chmod(0o755)  # PostgreSQL runs as another user
            _log(f"{database}, seed {seed}, in {folder}")
            result = run(
                folder / "site",
                database=database,
                seed=seed,
                minutes=minutes,
                faults=faults,
                arrivals=arrivals,
                expected=expected,
                log=_log,
            )
            results.append(result)
            _show(result)
            if not (keep or result.violations):
                shutil.rmtree(folder)
            if output:
                output.write_text(json.dumps([asdict(each) for each in results], indent=1))
    if len(results) > 1:
        _show_together(results)
    raise SystemExit(any(result.violations for result in results))


def _log(line: str) -> None:
    _console.print(line, markup=False)


def _show(result: RunResult) -> None:
    _show_recoveries([result], f"{result.database}, seed {result.seed}: {result.faults} faults")
    tally = ", ".join(
        f"{result.tally[name]:,} {name}" for name in ("arrived", "done", "duplicate", "rejected", "failed")
    )
    _log(f"{tally}; {result.analyses_per_image:.3f} analyses per image; starts {result.starts}")
    for line in result.skipped:
        _log(f"skipped: {line}")
    for line in result.violations:
        _log(f"VIOLATION: {line}")
    _log(f"logs in {result.folder}" if result.violations else "no violations: every file has its outcome")


def _show_together(results: Sequence[RunResult]) -> None:
    for database in _DATABASES:
        those = [result for result in results if result.database == database]
        if those:
            _show_recoveries(those, f"{database}: {len(those)} runs, {sum(each.faults for each in those)} faults")
    broken = sum(bool(result.violations) for result in results)
    _log(f"{len(results)} runs, {broken} with violations")


def _show_recoveries(results: Sequence[RunResult], title: str) -> None:
    recoveries: dict[str, list[float | None]] = {}
    for result in results:
        for name, seconds in result.recoveries.items():
            recoveries.setdefault(name, []).extend(seconds)
    table = Table(title=title, title_justify="left")
    table.add_column("fault")
    for heading in ("count", "median recovery, s", "worst"):
        table.add_column(heading, justify="right")
    for name, every in sorted(recoveries.items()):
        known = [seconds for seconds in every if seconds is not None]
        shown = (f"{statistics.median(known):.1f}", f"{max(known):.1f}") if known else ("-", "-")
        table.add_row(name, str(len(every)), *shown)
    _console.print(table)
