"""Run the whole pipeline as `nightread run` does, and measure it."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select

from benchmarks import process_times
from benchmarks.plan import Plan
from benchmarks.workloads import WARM_UP, write
from cli.embedded.pipeline import Pipeline, pipeline
from db import queries
from db.engine import Database
from db.series_tables import series_results
from db.tables import batches, contents, instances, predictions, work
from nightread.clock import utc_now
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder
from producer.folders.intake import Intake

WriteSome = Callable[[Path, int, int], object]
"""Writes images into a new folder. The arguments are the folder, the number of images and the number of the first."""
_FAIL_FAST: dict[str, Any] = {"retry_limit": 1, "breaker_images": 0}
"""Settings with which a failed image ends the measurement instead of pausing it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The measurements of one run over a folder."""

    images: int
    seconds: float
    """Time from the start of the scan until the last batch is recorded, or the last result of a series is formed. It
    includes neither the last commit (about 15 ms) nor the start and end of processes."""
    cpu: dict[str, float]
    """Processor microseconds per image by part (benchmarks.process_times)."""
    phases: dict[str, float]
    """Wall-clock microseconds per image in a worker process by phase, from `batches.seconds`. The phase of recording is
    not included."""
    batches: int

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    @property
    def cpu_total(self) -> float:
        """Processor microseconds per image of all processes together."""
        return sum(self.cpu.values())

    @property
    def cores_busy(self) -> float:
        """Mean number of busy processors."""
        return self.cpu_total * self.rate / 1e6


@dataclass(frozen=True, kw_only=True)
class WarmPipeline:
    """A pipeline whose worker processes have each analysed a batch."""

    embedded: Pipeline
    settings: Settings

    def run(self, folder: Path, on_progress: Callable[[int], None] = lambda _unfinished: None) -> Run:
        """Analyse every file of `folder`. `on_progress` is called repeatedly with the number of unfinished images.

        Raises RuntimeError if the state of any image is not `done` at the end.
        """
        embedded = self.embedded
        source = Folder.from_path(folder, self.settings)
        intake = Intake(self.settings, embedded.database, source, lambda _new: _ignore(embedded.dispatch))
        before, started = process_times.cpu_seconds(), utc_now()
        registered = intake.register_all().new
        embedded.drain([intake.source_id], on_progress)
        after = process_times.cpu_seconds()
        _require_done(embedded.database, intake.source_id, registered)
        ended, phases, count = _batches_since(embedded.database, started)
        per_image = 1e6 / registered
        parts = (part for part in after if part != process_times.LOOPS)
        return Run(
            images=registered,
            seconds=(ended - started).total_seconds(),
            cpu={part: (after[part] - before[part]) * per_image for part in parts},
            phases={phase: seconds * per_image for phase, seconds in phases.items()},
            batches=count,
        )

    def delete_images(self) -> None:
        """Delete all images, so that the same files can be analysed again. The rows of `batches` are kept."""
        with self.embedded.database.writer.begin() as connection:
            for table in (predictions, contents, work, instances):
                connection.execute(delete(table))


def run(
    folder: Path,
    work_dir: Path,
    plan: Plan,
    *,
    processes: int | None = None,
    database_url: str | None = None,
    on_progress: Callable[[int], None] = lambda _unfinished: None,
) -> Run:
    """Start a pipeline with its state in `work_dir`, and run it once (WarmPipeline.run)."""
    with warm(work_dir, plan, processes=processes, database_url=database_url) as pipe:
        return pipe.run(folder, on_progress)


def describe(run: Run) -> str:
    """Describe the processor time per image, and the phases in a worker process."""
    phases = ", ".join(f"{name} {spent:.0f}" for name, spent in run.phases.items())
    return f"us of CPU per image: {process_times.describe(run.cpu)}; wall-clock us in a worker process: {phases}"


def write_warm_up(folder: Path, images: int, first: int) -> None:
    """Write small films, numbered from `first`."""
    write(WARM_UP, folder, images, first=first)


@contextmanager
def warm(
    work_dir: Path,
    plan: Plan,
    *,
    processes: int | None = None,
    database_url: str | None = None,
    model: str = "phantom",
    write_some: WriteSome = write_warm_up,
) -> Iterator[WarmPipeline]:
    """Start a pipeline with its state in `work_dir`, and let each of its worker processes analyse a batch.

    `model` may be a bundle in `work_dir`/state/bundles. `write_some` writes images that this model can analyse.
    """
    processes = processes or plan.processes
    settings = load_settings(
        state_dir=work_dir / "state",
        model=model,
        workers=processes,
        database_url=database_url,
        redis_url=None,
        **_FAIL_FAST,
    )
    with pipeline(settings, with_worker=True, report=plan.log) as embedded:
        for number in itertools.count():
            folder, images = work_dir / "warm-up" / str(number), 32 * processes
            write_some(folder, images, number * images)
            _analyse_some(embedded, folder, settings, images)
            if _processes_at_work(embedded.database) == processes:
                break
        yield WarmPipeline(embedded=embedded, settings=settings)


def _analyse_some(embedded: Pipeline, folder: Path, settings: Settings, images: int) -> None:
    """Analyse a small folder. After a few calls, each process of the pool has analysed a batch."""
    intake = Intake(settings, embedded.database, Folder.from_path(folder, settings), lambda _new: None)
    intake.register_all()
    embedded.drain([intake.source_id], lambda _unfinished: None)
    _require_done(embedded.database, intake.source_id, images)


def _ignore(act: Callable[[], object]) -> None:
    act()


def _processes_at_work(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count(batches.c.process_index.distinct()))).scalar_one())


def _require_done(database: Database, source_id: int, images: int) -> None:
    tally = queries.tally(database, [source_id])
    if tally.done != images:
        raise RuntimeError(f"only {tally.done} of {images} images are done: {tally.to_json()}")


def _batches_since(database: Database, started: datetime) -> tuple[datetime, dict[str, float], int]:
    with database.read() as connection:
        rows = connection.execute(
            select(batches.c.finished_at, batches.c.seconds).where(batches.c.created_at >= started)
        ).all()
        formed = connection.execute(select(func.max(series_results.c.formed_at))).scalar_one()
    phases: dict[str, float] = {}
    for row in rows:
        for phase, seconds in (row.seconds or {}).items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    ended = max(row.finished_at for row in rows)
    return max(ended, formed or ended), phases, len(rows)
