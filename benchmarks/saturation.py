"""Where each shared part of the pipeline ends, in images per second: the figures behind docs/scaling.md.

- producer and dispatcher: each is one process, run here alone over a full folder and a full ledger (full batches,
  published to a real Redis that nobody reads);
- record: 1 to 16 processes that only claim and record batches, as workers on other hosts would;
- Redis: one thread; its processor time per batch in a whole run without reading gives the rate at which that thread is
  full;
- the whole control plane on this machine: the same run with 1 to 16 worker processes.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import database_load
from benchmarks.control_plane_run import no_reading, write_placeholders
from benchmarks.figures import Figure
from benchmarks.plan import Plan, scratch
from benchmarks.process_times import REDIS
from benchmarks.producer_load import rates
from benchmarks.run import run
from benchmarks.servers import MissingServerError, record_url
from db import schema
from db.engine import open_database

_PROCESSES = (1, 2, 4, 8, 16)
_UNIT = "images/s"


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Ceilings in images per second, each measured once: they are for planning, not for comparing."""
    images = plan.count(40_960, 4_096)
    try:
        with scratch() as place:
            write_placeholders(place / "scans", images)
            yield from _producer(plan, place, kind)
            yield from _record(images, kind)
            yield from _whole(plan, place / "scans", kind)
    except MissingServerError as missing:
        yield Figure(name=f"saturation, {kind}", note=str(missing))


def _producer(plan: Plan, place: Path, kind: str) -> Iterator[Figure]:
    with record_url(kind) as url, closing(open_database(url or f"sqlite:///{place / 'alone.sqlite3'}")) as database:
        schema.upgrade(database)
        for name, rate in rates(database, place / "scans", place).items():
            plan.say(f"{name}, {kind}: {rate:,.0f}/s")
            yield Figure(name=f"{name} alone, {kind}", values=(rate,), unit=_UNIT, note="one process")


def _record(images: int, kind: str) -> Iterator[Figure]:
    for processes in _PROCESSES:
        with record_url(kind) as url, scratch() as place:
            load = database_load.run(url or f"sqlite:///{place / 'load.sqlite3'}", images, processes)
        yield Figure(
            name=f"record: {processes} processes claim and record, {kind}",
            values=(load.rate,),
            unit=_UNIT,
            note=f"{load.cores_busy:.1f} cores at work"
            + (f"; {load.bytes_each:.0f} bytes an image" if not url else ""),
        )


def _whole(plan: Plan, folder: Path, kind: str) -> Iterator[Figure]:
    for processes in _PROCESSES:
        with record_url(kind) as url, scratch() as work, no_reading():
            done = run(folder, work, plan, processes=processes, database_url=url)
        plan.say(f"{processes} processes, {kind}: {done.rate:,.0f}/s")
        yield Figure(
            name=f"control plane with {processes} worker processes, {kind}",
            values=(done.rate,),
            unit=_UNIT,
            note=f"{done.cores_busy:.1f} cores at work, {done.images / done.batches:.0f} images a batch",
        )
        if processes == _PROCESSES[-1]:
            per_batch = done.cpu[REDIS] * done.images / done.batches
            yield Figure(
                name=f"Redis, from its processor time, {kind}",
                values=(done.images / done.batches * 1e6 / per_batch,),
                unit=_UNIT,
                note=f"{per_batch:.0f} us of CPU a batch of {done.images / done.batches:.0f} images, "
                "heartbeats and wake-ups included",
            )
