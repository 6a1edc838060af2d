"""Measure how many outcomes per second the database stores for many processes that only claim and record."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

from sqlalchemy.engine import make_url

from benchmarks import ledger as operations
from benchmarks import process_times
from db import ledger, schema
from db.engine import open_database
from nightread.clock import utc_now

_CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class Load:
    """The throughput of the database."""

    rate: float
    """Images per second."""
    cores_busy: float
    bytes_each: float
    """Size of SQLite's file per image; 0 for a server."""


def run(url: str, images: int, processes: int) -> Load:
    """Register images and form batches, then let `processes` processes claim and record them all."""
    database = open_database(url)
    schema.upgrade(database)
    source = ledger.ensure_source(database, name="bench", kind="folder", root="/bench", now=utc_now())
    arrivals = operations.arrivals(images)
    for begin in range(0, images, _CHUNK):
        operations.register(database, source, arrivals[begin : begin + _CHUNK])
    batches = []
    while formed := operations.form(database):
        batches += [batch.id for batch in formed]
    database.close()
    seconds, cpu = _timed(url, batches, processes)
    path = Path(make_url(url).database or "")
    return Load(
        rate=images / seconds,
        cores_busy=cpu / seconds,
        bytes_each=path.stat().st_size / images if url.startswith("sqlite") else 0,
    )


def _timed(url: str, batches: Sequence[str], processes: int) -> tuple[float, float]:
    context = get_context("spawn")
    barrier = context.Barrier(processes + 1)
    workers = [
        context.Process(target=_work, args=(url, batches[index::processes], barrier)) for index in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    before, began = sum(process_times.cpu_seconds().values()), time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - began
    cpu = sum(process_times.cpu_seconds().values()) - before
    barrier.wait()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("A process that claims and records batches failed: see its traceback above.")
    return seconds, cpu


def _work(url: str, batches: Sequence[str], barrier: Barrier) -> None:
    database = open_database(url)
    timers = operations.Timers()
    with database.read():
        barrier.wait()
    for batch in batches:
        operations.analyse(database, batch, timers)
    barrier.wait()
    database.close()
    barrier.wait()
