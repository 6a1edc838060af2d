"""One run of the whole pipeline, as `nightread run` does it, measured."""

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
from db.tables import batches, contents, instances, predictions, work
from nightread.clock import utc_now
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder
from producer.folders.intake import Intake

_NO_PATIENCE: dict[str, Any] = {"retry_limit": 1, "breaker_images": 0}
"""An image that fails ends the measurement instead of pausing it for somebody to come."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run over a folder took."""

    images: int
    seconds: float
    """From the first look at the folder to the moment the last batch went to be recorded: that one commit, some 15 ms,
    is not in it, and neither are start and end of processes."""
    cpu: dict[str, float]
    """Processor microseconds per image by part (benchmarks.process_times)."""
    phases: dict[str, float]
    """Wall microseconds per image in a worker process by phase, from `batches.seconds`; recording is not among them."""
    batches: int

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    @property
    def cpu_total(self) -> float:
        """Processor microseconds per image, of all processes together."""
        return sum(self.cpu.values())

    @property
    def cores_busy(self) -> float:
        """Mean number of processors that were at work on it."""
        return self.cpu_total * self.rate / 1e6


@dataclass(frozen=True, kw_only=True)
class WarmPipeline:
    """The pipeline with workers that have analysed something."""

    line: Pipeline
    settings: Settings

    def run(self, folder: Path, heed: Callable[[int], None] = lambda _unfinished: None) -> Run:
        """Analyse every file of `folder`. `heed` hears now and then how many are unfinished.

        Raises RuntimeError where an image is not done in the end.
        """
        line = self.line
        source = Folder.from_path(folder, self.settings)
        intake = Intake(self.settings, line.database, source, lambda _new: _ignore(line.dispatch))
        before, started = process_times.cpu_seconds(), utc_now()
        registered = intake.register_all().new
        line.drain([intake.source_id], heed)
        after = process_times.cpu_seconds()
        _require_done(line.database, intake.source_id, registered)
        ended, phases, count = _batches_since(line.database, started)
        per_image = 1e6 / registered
        parts = (part for part in after if part != process_times.LOOPS)
        return Run(
            images=registered,
            seconds=(ended - started).total_seconds(),
            cpu={part: (after[part] - before[part]) * per_image for part in parts},
            phases={phase: seconds * per_image for phase, seconds in phases.items()},
            batches=count,
        )

    def forget_images(self) -> None:
        """Empty the record of images, so that the same files can be analysed again; what batches took is kept."""
        with self.line.database.writer.begin() as connection:
            for table in (predictions, contents, work, instances):
                connection.execute(delete(table))


def run(
    folder: Path,
    place: Path,
    plan: Plan,
    *,
    processes: int | None = None,
    database_url: str | None = None,
    heed: Callable[[int], None] = lambda _unfinished: None,
) -> Run:
    """One run of a pipeline made for it, with its state under `place` (WarmPipeline.run)."""
    with warm(place, plan, processes=processes, database_url=database_url) as pipe:
        return pipe.run(folder, heed)


def describe(run: Run) -> str:
    """Where the processor time of an image went."""
    phases = ", ".join(f"{name} {spent:.0f}" for name, spent in run.phases.items())
    return f"us of CPU an image: {process_times.describe(run.cpu)}; wall in a worker: {phases}"


@contextmanager
def warm(
    place: Path, plan: Plan, *, processes: int | None = None, database_url: str | None = None
) -> Iterator[WarmPipeline]:
    """A pipeline with its state under `place`, each of whose processes has analysed a batch."""
    processes = processes or plan.processes
    settings = load_settings(
        state_dir=place / "state",
        model="phantom",
        workers=processes,
        database_url=database_url,
        redis_url=None,
        **_NO_PATIENCE,
    )
    with pipeline(settings, with_worker=True, report=plan.say) as line:
        for number in itertools.count():
            _analyse_some(line, place / "warm-up" / str(number), settings, images=32 * processes, first=number)
            if _processes_at_work(line.database) == processes:
                break
        yield WarmPipeline(line=line, settings=settings)


def _analyse_some(line: Pipeline, folder: Path, settings: Settings, *, images: int, first: int) -> None:
    """A small folder; after a few of them each process of the pool has analysed a batch."""
    write(WARM_UP, folder, images, first=first * images)
    intake = Intake(settings, line.database, Folder.from_path(folder, settings), lambda _new: None)
    intake.register_all()
    line.drain([intake.source_id], lambda _unfinished: None)
    _require_done(line.database, intake.source_id, images)


def _ignore(act: Callable[[], object]) -> None:
    act()


def _processes_at_work(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count(batches.c.process_index.distinct()))).scalar_one())


def _require_done(database: Database, source_id: int, images: int) -> None:
    tally = queries.tally(database, [source_id])
    if tally.done != images:
        raise RuntimeError(f"{images} files, and {tally.done} are done: {tally.to_json()}")


def _batches_since(database: Database, started: datetime) -> tuple[datetime, dict[str, float], int]:
    with database.read() as connection:
        rows = connection.execute(
            select(batches.c.finished_at, batches.c.seconds).where(batches.c.created_at >= started)
        ).all()
    phases: dict[str, float] = {}
    for row in rows:
        for phase, seconds in (row.seconds or {}).items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    return max(row.finished_at for row in rows), phases, len(rows)
