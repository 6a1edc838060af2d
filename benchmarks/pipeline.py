"""`make bench`: the whole pipeline against loops without queue and ledger, on the same files in the same minutes."""

import itertools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from benchmarks import loops
from benchmarks.workloads import WARM_UP, WORKLOADS, Workload, write
from cli.pipeline import Pipeline, pipeline
from db import queries
from db.tables import batches
from nightread.clock import utc_now
from nightread.hardware import slots
from nightread.settings import Settings, load_settings
from producer.folder import Folder
from producer.intake import Intake

console = Console(width=110)


@click.command()
@click.option("--size", type=click.Choice(list(WORKLOADS)), multiple=True, help="Workloads [all].")
@click.option("--images", type=int, help="Files per workload [20,000 of 28x28, 2,000 of 512x512].")
@click.option("--repeat", type=int, default=3, show_default=True)
def main(size: tuple[str, ...], images: int | None, repeat: int) -> None:
    """Median images per second and the ratios between them; warm-up (imports, loading, tracing) is not counted."""
    processes = slots(load_settings())
    table = Table(title=f"{processes} processes, median of {repeat}, warm-up excluded")
    for heading in ("workload", "images", "plain loop/s", "bare loop/s", "pipeline/s", "/ plain", "/ bare"):
        table.add_column(heading, justify="right")
    for name in size or WORKLOADS:
        workload = WORKLOADS[name]
        table.add_row(*_row(workload, images or workload.images, processes, repeat))
    console.print(table)


def _row(workload: Workload, images: int, processes: int, repeat: int) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="nightread-bench-") as place:
        folder = Path(place) / "scans"
        with console.status(f"writing {images} files of {workload.name}"):
            write(workload, folder, images)
        files = sorted(folder.iterdir())
        contestants: dict[str, Callable[[Path], float]] = {
            "plain": lambda work: loops.rate(loops.plain, files, processes, work / "plain.sqlite3"),
            "bare": lambda work: loops.rate(loops.bare, files, processes, work / "bare.sqlite3"),
            "pipeline": lambda work: _pipeline_rate(folder, work / "state", processes),
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(repeat):  # in turn, so that a slow minute of the machine meets all alike
            for name, measure in contestants.items():
                with tempfile.TemporaryDirectory(prefix="nightread-bench-") as work:
                    rates[name].append(measure(Path(work)))
                console.print(f"{workload.name}: {name} {rates[name][-1]:.0f}/s")
    plain, bare, whole = (rates[name] for name in ("plain", "bare", "pipeline"))
    return [
        workload.name,
        str(images),
        *(f"{statistics.median(each):.0f}" for each in (plain, bare, whole)),
        _ratio(whole, plain),
        _ratio(whole, bare),
    ]


def _ratio(ours: list[float], theirs: list[float]) -> str:
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _pipeline_rate(folder: Path, state: Path, processes: int) -> float:
    """From the first look at the folder to the last committed row, with workers that are warm."""
    settings = load_settings(state_dir=state, model="phantom", workers=processes, database_url=None, redis_url=None)
    with pipeline(settings, with_worker=True, report=console.print) as line:
        _warm_up(line, state.parent / "warm-up", settings, processes)
        source = Folder.holding(folder, settings)
        intake = Intake(settings, line.database, source, lambda _new: line.dispatch())
        started = utc_now()
        registered = intake.take_all().new
        line.drain([intake.source_id], lambda _unfinished: None)
        with line.database.read() as connection:
            ended = connection.execute(select(func.max(batches.c.finished_at))).scalar_one()
        seconds = (ended - started).total_seconds()
        tally = queries.tally(line.database, [intake.source_id])
        if tally.done != registered:
            raise RuntimeError(f"{registered} files, {tally.done} done")
        _show_phases(line)
    return registered / seconds


def _warm_up(line: Pipeline, folder: Path, settings: Settings, processes: int) -> None:
    """Small folders, until each process of the pool has analysed a batch."""
    for round_number in itertools.count():
        write(WARM_UP, folder / str(round_number), 32 * processes, first=round_number * 32 * processes)
        source = Folder.holding(folder / str(round_number), settings)
        intake = Intake(settings, line.database, source, lambda _new: None)
        intake.open()
        for chunk in source.scan():
            intake.register(chunk)
        line.drain([intake.source_id], lambda _unfinished: None)
        with line.database.read() as connection:
            if connection.execute(select(func.count(batches.c.process_index.distinct()))).scalar_one() == processes:
                return


def _show_phases(line: Pipeline) -> None:
    with line.database.read() as connection:
        rows = connection.execute(select(batches.c.seconds, batches.c.images)).all()
    images = sum(row.images for row in rows)
    phases: dict[str, float] = {}
    for row in rows:
        for phase, seconds in (row.seconds or {}).items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    console.print(
        "  us per image: " + ", ".join(f"{name} {1e6 * spent / images:.0f}" for name, spent in phases.items())
    )


if __name__ == "__main__":
    main()
