"""Measure the time per image of the ledger's operations in one process: `python -m benchmarks.ledger`."""

import gc
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Table

from benchmarks import process_times
from benchmarks.servers import database_url_for
from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import Arrival, Claimed, FramePrediction, Outcome, WorkerProcess
from db.tables import State
from imaging.facts import Facts
from nightread.clock import utc_now
from nightread.content_digest import content_of

IMAGES = 1024
"""Images per batch: the largest batch of the default settings, which the dispatcher forms for fast images."""
_PART = 256  # worker.reading._PART_IMAGES
console = Console(width=110)
T = TypeVar("T")
_PROCESS = WorkerProcess(node="bench", boot_id="bench", index=0)
_SPREAD = 2_654_435_761  # Knuth's multiplicative hash


class Timers:
    """Processor and wall-clock seconds by name. `server` holds the processor seconds of the database server."""

    def __init__(self, server_seconds: Callable[[], float] = float) -> None:
        """`server_seconds` reads the processor seconds of the server. By default it always returns 0."""
        self._server_seconds = server_seconds
        self.server: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.wall: defaultdict[str, float] = defaultdict(float)

    def time(self, name: str, operation: Callable[[], T]) -> T:
        """Run the operation, and add its time to `name`."""
        server, cpu, wall = self._server_seconds(), time.process_time(), time.perf_counter()
        result = operation()
        self.cpu[name] += time.process_time() - cpu
        self.wall[name] += time.perf_counter() - wall
        self.server[name] += self._server_seconds() - server
        return result


@click.command()
@click.option("--images", default=20_000, show_default=True)
@click.option("--postgresql", is_flag=True, help="A private PostgreSQL, whose processor time is printed too.")
@click.option("--database-url", help="PostgreSQL instead of a new SQLite file; the database must be empty.")
def main(images: int, postgresql: bool, database_url: str | None) -> None:
    """Print microseconds per image of register, form, claim, look up and record, in full batches."""
    with ExitStack() as stack:
        if postgresql:
            database_url = stack.enter_context(database_url_for("PostgreSQL"))
        database = stack.enter_context(empty_ledger(database_url))
        spent = measure(database, images, Timers(_seconds_of_postgres if postgresql else float))
    table = Table(title=f"us per image over {images:,} images")
    for heading in ("operation", "processor", "server's processor", "wall clock"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    for name in spent.cpu:
        table.add_row(name, *(f"{1e6 * each[name] / images:.1f}" for each in (spent.cpu, spent.server, spent.wall)))
    totals = (sum(each.values()) for each in (spent.cpu, spent.server, spent.wall))
    table.add_row("all", *(f"{1e6 * total / images:.1f}" for total in totals))
    console.print(table)


def _seconds_of_postgres() -> float:
    return process_times.cpu_seconds()[process_times.POSTGRES]


@contextmanager
def empty_ledger(url: str | None) -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="nightread-bench-") as folder:
        database = open_database(url or f"sqlite:///{folder}/bench.sqlite3")
        schema.upgrade(database)
        try:
            yield database
        finally:
            database.close()


def measure(database: Database, images: int, timers: Timers | None = None, *, folder: str = "series") -> Timers:
    """Pass images of a folder through the ledger, from registration to outcome. Each image gets the state `done`."""
    timers = timers or Timers()
    source, bundle = ensure_source_and_bundle(database)
    found = arrivals(images, folder)
    gc.collect()
    gc.freeze()
    for begin in range(0, images, 1000):
        some = found[begin : begin + 1000]
        timers.time("register", partial(register, database, source, some))
    while formed := timers.time("form", lambda: form(database)):
        for batch in formed:
            analyse(database, batch.id, bundle, timers)
    return timers


def ensure_source_and_bundle(database: Database) -> tuple[int, int]:
    """Return the ids of a source and of a bundle."""
    source = ledger.ensure_source(database, name="bench", kind="folder", root="/bench", now=utc_now())
    bundle = ledger.register_bundle(
        database,
        name="ledger",
        version="1",
        digest="d" * 64,
        labels=["normal", "nodule"],
        normal_label="normal",
        now=utc_now(),
    )
    return source, bundle


def arrivals(images: int, folder: str = "series") -> list[Arrival]:
    """Return the arrivals of a folder with `images` files."""
    return [Arrival(uri=f"{folder}/{number:08d}.dcm", size=1000, mtime_ns=number) for number in range(images)]


def register(database: Database, source: int, some: list[Arrival]) -> None:
    """Register images in one transaction, as the watcher does."""
    ledger.register(database, source_id=source, arrivals=some, priority=5, now=utc_now())


def form(database: Database) -> list[ledger.Batch]:
    """Form batches for two processes in one transaction, as the dispatcher does."""
    return ledger.form_batches(database, count=2, images=IMAGES, max_bytes=2**40, now=utc_now())


def analyse(database: Database, batch: str, bundle: int, timers: Timers) -> None:
    """Claim a batch, look up copies in parts, and record, as a worker process does. No image is analysed."""
    lease = timedelta(seconds=60)
    claimed = timers.time("claim", lambda: ledger.claim(database, batch, process=_PROCESS, lease=lease, now=utc_now()))
    outcomes = [_outcome(image, bundle) for image in claimed]
    for begin in range(0, len(outcomes), _PART):
        hashes = [outcome.content for outcome in outcomes[begin : begin + _PART] if outcome.content]
        timers.time("look up", partial(ledger.known_contents, database, hashes))
    timers.time(
        "record",
        lambda: ledger.record(database, batch, outcomes, seconds={"read": 1.0}, release="bench", now=utc_now()),
    )


def _outcome(image: Claimed, bundle: int) -> Outcome:
    """Return the outcome of a CT slice. Each image has another score, so that the indexes of scores are realistic."""
    nodule = image.work_id * _SPREAD % 2**32 / 2**32
    label, score = ("nodule", nodule) if nodule > 0.5 else ("normal", 1 - nodule)
    scores = [1 - nodule, nodule]
    facts = Facts(
        sop_instance_uid=f"1.2.826.0.1.3680043.10.999.1.{image.work_id}",
        series_instance_uid="1.2.826.0.1.3680043.10.999.2",
        study_instance_uid="1.2.826.0.1.3680043.10.999.3",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality="CT",
        body_part="CHEST",
        image_type="ORIGINAL\\PRIMARY\\AXIAL",
        study_date="20261105",
        manufacturer="Maker of Scanners",
        station_name="ROOM1",
        patient_sex="F",
        age_band="40-49",
        rows=512,
        columns=512,
        frames=1,
        patient_key="a" * 64,
        accession_key="b" * 64,
        key_id="0" * 8,
        decoder="native",
        device_model=f"Scanner {image.work_id % 3}",
        photometric="MONOCHROME2",
        pixel_spacing=0.703125,
    )
    return Outcome(
        work_id=image.work_id,
        instance_id=image.instance_id,
        state=State.DONE,
        content=content_of(image.uri.encode()),
        size=image.size,
        mtime_ns=image.mtime_ns,
        facts=facts,
        bundle_id=bundle,
        label=label,
        score=score,
        scores=scores,
        frames=(FramePrediction(frame=0, label=label, score=score, scores=scores),),
        intensities=image.work_id * _SPREAD % 2**40,
    )


if __name__ == "__main__":
    main()
