"""Measure how many images per second the database can handle if many processes only claim and record."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

from sqlalchemy.engine import make_url

from benchmarks import ledger as operations
from benchmarks import process_times
from db import schema
from db.engine import open_database

_CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class Load:
    """The throughput of the database."""

    rate: float
    """Images per second."""
    cores_busy: float
    cpu: dict[str, float]
    """Microseconds of processor time per image, by part (benchmarks.process_times)."""
    bytes_each: float
    """Size of SQLite's file in bytes per image; 0 for PostgreSQL."""


def run(url: str, images: int, processes: int) -> Load:
    """Register images and form batches, then let `processes` processes claim and record them all."""
    database = open_database(url)
    schema.upgrade(database)
    source, bundle = operations.ensure_source_and_bundle(database)
    arrivals = operations.arrivals(images)
    for begin in range(0, images, _CHUNK):
        operations.register(database, source, arrivals[begin : begin + _CHUNK])
    batches = []
    while formed := operations.form(database):
        batches += [batch.id for batch in formed]
    database.close()
    seconds, cpu = _timed(url, batches, bundle, processes)
    path = Path(make_url(url).database or "")
    return Load(
        rate=images / seconds,
        cores_busy=sum(cpu.values()) / seconds,
        cpu={part: 1e6 * spent / images for part, spent in cpu.items()},
        bytes_each=path.stat().st_size / images if url.startswith("sqlite") else 0,
    )


def _timed(url: str, batches: Sequence[str], bundle: int, processes: int) -> tuple[float, dict[str, float]]:
    context = get_context("spawn")
    barrier = context.Barrier(processes + 1)
    workers = [
        context.Process(target=_work, args=(url, batches[index::processes], bundle, barrier))
        for index in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    before, began = process_times.cpu_seconds(), time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - began
    cpu = {part: spent - before[part] for part, spent in process_times.cpu_seconds().items()}
    barrier.wait()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("A process that claims and records batches failed: see its traceback above.")
    return seconds, cpu


def _work(url: str, batches: Sequence[str], bundle: int, barrier: Barrier) -> None:
    database = open_database(url)
    timers = operations.Timers()
    with database.read():
        barrier.wait()
    for batch in batches:
        operations.analyse(database, batch, bundle, timers)
    barrier.wait()
    database.close()
    barrier.wait()
