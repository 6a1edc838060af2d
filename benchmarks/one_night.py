"""Measure a night of a million small images, from folder to row: do rate, memory and `status` stay the same?"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
from sqlalchemy import select, text

from api.status import take_status
from benchmarks import process_times
from benchmarks.figures import Figure, Target, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import WarmPipeline, warm
from benchmarks.servers import MissingServerError, database_url_for
from benchmarks.workloads import WORKLOADS, write
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from db.queries.planning import id_range
from db.tables import batches
from nightread.clock import utc_now
from nightread.nights import nights_of

_TENTHS = 10
_STATUS = Target(at_most=300)
_FILTER = Target(at_most=50)
_STEADY = Target(at_least=0.95)
_FLAT = Target(at_most=1.05)
_RUNS = 5
_FIRST_STEADY = 3
"""First of the tenths that are compared. Before it the producer still registers files, which takes processor time from
the workers."""


@dataclass
class _Samples:
    """Samples that are taken after each tenth of the images."""

    images: int
    read_status: Callable[[], object]
    worker_megabytes: list[float] = field(default_factory=list)
    own_megabytes: list[float] = field(default_factory=list)
    status_milliseconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=lambda: [sum(process_times.cpu_seconds().values())])
    """Of all processes until now: at the start, and after each tenth."""
    analysed: list[int] = field(default_factory=lambda: [0])
    """Images at these times."""

    def __call__(self, unfinished: int) -> None:
        """Take the samples if another tenth is done."""
        done = 1 - unfinished / self.images
        if done * _TENTHS < len(self.status_milliseconds) + 1:
            return
        processes = process_times.worker_processes()
        self.worker_megabytes.append(max(each.memory_info().rss for each in processes) / 1e6)
        self.own_megabytes.append(psutil.Process().memory_info().rss / 1e6)
        self.status_milliseconds.append(_milliseconds(self.read_status))
        self.processor_seconds.append(sum(process_times.cpu_seconds().values()))
        self.analysed.append(self.images - unfinished)

    def microseconds_per_image(self) -> list[float]:
        """Return the processor time per image of each tenth. Other work on the machine hardly changes it."""
        seconds = (after - before for before, after in pairwise(self.processor_seconds))
        images = (after - before for before, after in pairwise(self.analysed))
        return [1e6 * spent / analysed for spent, analysed in zip(seconds, images, strict=True)]


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Analyse a folder once, and measure rate, memory, `status`, filters and the size of the database."""
    images = plan.count(1_000_000, 2_000)
    try:
        with scratch() as work_dir, database_url_for(kind) as url:
            plan.log(f"writing {images:,} files")
            write(WORKLOADS["28x28-16"], work_dir / "scans", images)
            with warm(work_dir, plan, database_url=url) as pipe:
                yield from _figures(pipe, work_dir / "scans", images, f"{images:,} images in one night, {kind}")
    except MissingServerError as missing:
        yield Figure(name=f"one night, {kind}", note=str(missing))


def _figures(pipe: WarmPipeline, folder: Path, images: int, of_what: str) -> Iterator[Figure]:
    database, nights = pipe.embedded.database, nights_of(pipe.settings)

    def read_status() -> object:
        return take_status(database, pipe.settings, nights, utc_now())

    samples = _Samples(images, read_status)
    started = utc_now()
    run = pipe.run(folder, samples)
    rates = _rates(database, run.images)
    steady = rates[_FIRST_STEADY - 1 :]
    yield Figure(
        name=f"rate of the last tenth / of the tenths from the third on, {of_what}",
        values=(rates[-1] / median(steady),),
        unit="x",
        target=_STEADY,
        note=f"images/s by tenth: {', '.join(f'{rate:,.0f}' for rate in rates)}; in all {run.rate:,.0f}/s",
        bound_by=process_times.describe(run.cpu),
    )
    if len(spent := samples.microseconds_per_image()) >= _FIRST_STEADY:  # fewer with --quick
        yield Figure(
            name=f"processor time of the last tenth / of the tenths from the third on, {of_what}",
            values=(spent[-1] / median(spent[_FIRST_STEADY - 1 :]),),
            unit="x",
            target=_FLAT,
            note=f"us per image by tenth: {', '.join(f'{each:,.0f}' for each in spent)}",
        )
    for who, megabytes in (("worker process", samples.worker_megabytes), ("producer", samples.own_megabytes)):
        yield Figure(
            name=f"memory of the {who} after the last tenth / after the first, {of_what}",
            values=(megabytes[-1] / megabytes[0],),
            unit="x",
            target=_FLAT,
            note=f"MB by tenth: {', '.join(f'{each:.0f}' for each in megabytes)}",
        )
    yield Figure(
        name=f"status during the run, {of_what}",
        values=tuple(samples.status_milliseconds),
        unit="ms",
        note="wall-clock time while all cores work",
    )
    yield _timed(f"status at the end, {of_what}", read_status, _STATUS)
    yield from _of_the_database(database, started, run.images, of_what)


def _of_the_database(database: Database, started: datetime, images: int, of_what: str) -> Iterator[Figure]:
    for name, wanted in {
        "--night last": ImageFilter(limit=100, since=started),
        "--night last --sort suspicion": ImageFilter(limit=100, since=started, sort="suspicion"),
        "--label nodule --sort score": ImageFilter(limit=100, labels=("nodule",), sort="score"),
        "--in-state failed": ImageFilter(limit=100, states=("failed",)),
    }.items():
        bound_by = _time_of_id_range(database, wanted) if wanted.since else ""
        yield _timed(f"query {name}, {of_what}", partial(_count, database, wanted), _FILTER, bound_by)
    size = _bytes_of(database)
    yield Figure(
        name=f"size of the database, {of_what}",
        values=(size / 1e6,),
        unit="MB",
        note=f"{size / images:,.0f} bytes an image",
    )


def _timed(name: str, ask: Callable[[], object], target: Target, bound_by: str = "") -> Figure:
    ask()
    values = tuple(_milliseconds(ask) for _ in range(_RUNS))
    return Figure(name=name, values=values, unit="ms", target=target, bound_by=bound_by)


def _time_of_id_range(database: Database, wanted: ImageFilter) -> str:
    with database.read() as connection:
        spent = median([_milliseconds(lambda: id_range(connection, wanted.since, wanted.until)) for _ in range(_RUNS)])
    return f"{spent:.0f} ms to find the first and last id of the night, from all of its entries in one index"


def _milliseconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - began)


def _count(database: Database, wanted: ImageFilter) -> int:
    return len(list(queries.images(database, wanted)))


def _rates(database: Database, images: int) -> list[float]:
    """Return images per second of each tenth, from the times at which its batches were recorded."""
    newest_first = select(batches.c.finished_at, batches.c.images, batches.c.claimed_at)
    with database.read() as connection:
        rows = connection.execute(newest_first.order_by(batches.c.finished_at.desc())).all()
    rates, done, end = [], 0, rows[0].finished_at
    for row in rows:
        if done >= images / _TENTHS:
            rates.append(done / max((end - row.finished_at).total_seconds(), 1e-3))
            done, end = 0, row.finished_at
        done += row.images
    return rates[::-1]


def _bytes_of(database: Database) -> int:
    pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    statement = pages if database.is_sqlite else "SELECT pg_database_size(current_database())"
    with database.read() as connection:
        return int(connection.execute(text(statement)).scalar_one())
