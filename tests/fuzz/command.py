"""The command: a campaign, what became of its mutations, and whatever was found."""

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
@click.option("--count", default=10_000, show_default=True, help="How many mutations.")
@click.option("--minutes", type=float, help="Go on for so long instead.")
@click.option("--seed", default=1, show_default=True, help="Another one makes other mutations.")
@click.option("--number", type=int, help="Read this mutation only.")
@click.option("--seconds", default=10.0, show_default=True, help="A file that takes longer is a finding.")
@click.option("--memory", default=512, show_default=True, help="MiB; a file that takes more is a finding.")
@click.option(
    "--keep", type=click.Path(path_type=Path), default=Path("build/fuzz-findings"), help="Where findings are kept."
)
@click.option("--real", is_flag=True, help="Mutate the real files only.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the mutations to this folder; read none of them.")
def main(  # noqa: PLR0913 - click hands over each option by its name
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
    """Read mutated files as a worker does. Exit code 1: one of them did not end as decoded or with a reason."""
    files = real_files() if real else seeds()
    if not files:
        raise click.UsageError(f"--real: {REAL_FILES} is not there")
    _log(f"{len(files)} files to mutate, {len(real_files())} of them real ones")
    numbers = _numbers(count, minutes, number)
    if write is not None:
        _write(files, seed, numbers, write)
        return
    limits = CostLimits(seconds=seconds, memory_bytes=memory * MiB)
    with _progress() as progress:
        task = progress.add_task("mutations", total=count if minutes is None and number is None else None, found=0)

        def note(totals: Totals) -> None:
            progress.update(task, completed=totals.outcomes.total(), found=len(totals.findings))

        totals = run(numbers, files=files, seed=seed, limits=limits, keep_in=keep, note=note)
    _show(totals, seed)
    if totals.findings:
        _log(f"{len(totals.findings)} findings, kept in {keep}; --seed {seed} --number N reads one of them again")
    raise SystemExit(bool(totals.findings))


def _numbers(count: int, minutes: float | None, number: int | None) -> Iterator[int]:
    if number is not None:
        return iter((number,))
    if minutes is None:
        return iter(range(count))
    end = time.monotonic() + 60 * minutes
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())


def _write(files: tuple[Seed, ...], seed: int, numbers: Iterator[int], folder: Path) -> None:
    """For a run of the whole system over them."""
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
        _log(f"most memory: {grown:.0f} MiB more, number {totals.largest.number} ({totals.largest.what})")
        _log(f"the process had {totals.peak_bytes / MiB:.0f} MiB at most")
        _log(f"{1000 * totals.total_seconds / totals.outcomes.total():.1f} ms a file on average")


def _log(line: str) -> None:
    _console.print(line, markup=False)
