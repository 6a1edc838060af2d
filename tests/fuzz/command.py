"""Run a campaign from the command line, and print its outcomes and findings."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fuzz.campaign import CostLimits, MiB, Totals, run
from fuzz.mutation import mutation
from fuzz.reader_process import FINDING
from fuzz.seeds import REAL_FILES, Seed, real_files, seeds

_console = Console(width=120, highlight=False)


@click.command("fuzz")
@click.option("--count", default=10_000, show_default=True, help="Number of mutations.")
@click.option("--minutes", type=float, help="Run for this time instead of --count.")
@click.option("--seed", default=1, show_default=True, help="Seed of the mutations.")
@click.option("--number", type=int, help="Read only the mutation with this number.")
@click.option("--seconds", default=10.0, show_default=True, help="A file that takes longer is a finding.")
@click.option("--memory", default=512, show_default=True, help="MiB; a file that takes more is a finding.")
@click.option(
    "--keep", type=click.Path(path_type=Path), default=Path("build/fuzz-findings"), help="Folder for the findings."
)
@click.option("--real", is_flag=True, help="Mutate only the real files.")
@click.option(
    "--write", type=click.Path(path_type=Path), help="Write the mutations to this folder without reading them."
)
def main(  # noqa: PLR0913 - click passes each option by its name
    *,
    count: int,
    minutes: float | None,
    seed: int,
    number: int | None,
    seconds: float,
    memory: int,
    keep: Path,
    real: bool,
    write: Path | None,
) -> None:
    """Read mutated files as a worker does. Exit code 1: at least one was neither decoded nor refused with a reason."""
    files = real_files() if real else seeds()
    if not files:
        raise click.UsageError(f"--real: {REAL_FILES} does not exist")
    _log(f"{len(files)} files to mutate, {len(real_files())} of them real")
    numbers = _numbers(count, minutes, number)
    if write is not None:
        _write(files, seed, numbers, write)
        return
    limits = CostLimits(seconds=seconds, memory_bytes=memory * MiB)
    with _progress() as progress:
        task = progress.add_task("mutations", total=count if minutes is None and number is None else None, found=0)

        def show_progress(totals: Totals) -> None:
            progress.update(task, completed=totals.outcomes.total(), found=len(totals.findings))

        totals = run(numbers, files=files, seed=seed, limits=limits, keep_in=keep, on_progress=show_progress)
    _show(totals, seed)
    if totals.findings:
        _log(f"findings: {len(totals.findings)}, in {keep}; read one again with --seed {seed} --number N")
    raise SystemExit(bool(totals.findings))


def _numbers(count: int, minutes: float | None, number: int | None) -> Iterator[int]:
    if number is not None:
        return iter((number,))
    if minutes is None:
        return iter(range(count))
    end = time.monotonic() + 60 * minutes
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())


def _write(files: tuple[Seed, ...], seed: int, numbers: Iterator[int], folder: Path) -> None:
    """Write the mutations to files, for example for a run of the whole system."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{seed}-{number}.dcm").write_bytes(mutation(files, seed, number).data)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(
        *columns, TextColumn("{task.fields[found]} found"), console=_console, disable=not _console.is_terminal
    )


def _show(totals: Totals, seed: int) -> None:
    table = Table(title=f"seed {seed}: {totals.outcomes.total():,} mutations", title_justify="left")
    table.add_column("outcome")
    table.add_column("times", justify="right")
    for outcome, times in totals.outcomes.most_common():
        table.add_row(outcome, f"{times:,}")
    _console.print(table)
    for finding in totals.findings:
        _log(f"{FINDING} {finding.number}: {finding.outcome}, {finding.seconds:.1f} s: {finding.what}")
    if totals.slowest and totals.largest:
        _log(f"slowest: {totals.slowest.seconds:.2f} s, number {totals.slowest.number} ({totals.slowest.what})")
        grown = totals.largest.grown_bytes / MiB
        _log(f"largest growth of memory: {grown:.0f} MiB, number {totals.largest.number} ({totals.largest.what})")
        _log(f"peak memory of the process: {totals.peak_bytes / MiB:.0f} MiB")
        _log(f"mean time per file: {1000 * totals.total_seconds / totals.outcomes.total():.1f} ms")


def _log(line: str) -> None:
    _console.print(line, markup=False)
