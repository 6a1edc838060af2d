"""Measure the highest throughput of each shared part of the pipeline in images per second, for docs/scaling.md.

- Producer and dispatcher: each runs alone, as one process. Full batches are published to a real Redis without workers.
- Database: 1 to 16 processes only claim and record batches, as workers on other hosts would.
- Redis: it uses one thread. The rate at which this thread would be fully used is computed from the processor time of
  Redis per batch, in a run of the whole pipeline with stand-ins for reading (benchmarks/fakes).
- The whole control plane on this machine: such runs with 1 to 16 worker processes.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import database_load
from benchmarks.figures import Figure
from benchmarks.plan import Plan, scratch
from benchmarks.process_times import REDIS
from benchmarks.producer_load import rates
from benchmarks.run import run
from benchmarks.servers import MissingServerError, database_url_for
from benchmarks.stand_ins import stand_ins_for_reading, write_placeholders
from db import schema
from db.engine import open_database

_PROCESSES = (1, 2, 4, 8, 16)
_UNIT = "images/s"


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Measure each ceiling once, in images per second, since the figures are for planning and not for comparisons."""
    images = plan.count(40_960, 4_096)
    try:
        with scratch() as work_dir:
            write_placeholders(work_dir / "scans", images)
            yield from _producer(plan, work_dir, kind)
            yield from _record(images, kind)
            yield from _whole(plan, work_dir / "scans", kind)
    except MissingServerError as missing:
        yield Figure(name=f"saturation, {kind}", note=str(missing))


def _producer(plan: Plan, work_dir: Path, kind: str) -> Iterator[Figure]:
    with (
        database_url_for(kind) as url,
        closing(open_database(url or f"sqlite:///{work_dir / 'alone.sqlite3'}")) as database,
    ):
        schema.upgrade(database)
        for name, rate in rates(database, work_dir / "scans", work_dir).items():
            plan.log(f"{name}, {kind}: {rate:,.0f}/s")
            yield Figure(name=f"{name} alone, {kind}", values=(rate,), unit=_UNIT, note="one process")


def _record(images: int, kind: str) -> Iterator[Figure]:
    for processes in _PROCESSES:
        with database_url_for(kind) as url, scratch() as work_dir:
            load = database_load.run(url or f"sqlite:///{work_dir / 'load.sqlite3'}", images, processes)
        yield Figure(
            name=f"database: {processes} processes claim and record, {kind}",
            values=(load.rate,),
            unit=_UNIT,
            note=f"{load.cores_busy:.1f} cores at work"
            + (f"; {load.bytes_each:.0f} bytes per image" if not url else ""),
        )


def _whole(plan: Plan, folder: Path, kind: str) -> Iterator[Figure]:
    for processes in _PROCESSES:
        with database_url_for(kind) as url, scratch() as work, stand_ins_for_reading():
            done = run(folder, work, plan, processes=processes, database_url=url)
        plan.log(f"{processes} processes, {kind}: {done.rate:,.0f}/s")
        yield Figure(
            name=f"control plane with {processes} worker processes, {kind}",
            values=(done.rate,),
            unit=_UNIT,
            note=f"{done.cores_busy:.1f} cores at work, {done.images / done.batches:.0f} images per batch",
        )
        if processes == _PROCESSES[-1]:
            per_batch = done.cpu[REDIS] * done.images / done.batches
            yield Figure(
                name=f"Redis, from its processor time, {kind}",
                values=(done.images / done.batches * 1e6 / per_batch,),
                unit=_UNIT,
                note=f"{per_batch:.0f} us of CPU per batch of {done.images / done.batches:.0f} images, "
                "including heartbeats and notifications",
            )
