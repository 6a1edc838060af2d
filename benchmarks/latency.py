"""Measure the time from closing a file in the drop folder of an idle `nightread up` until its result can be read.

All processes run as an operator starts them, including Flower. One file is written at a time, at random intervals. This
process queries the database every 4 ms, so the figure includes this delay.
"""

import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from sqlalchemy import select

from benchmarks.figures import Figure, Target
from benchmarks.plan import Plan, scratch
from benchmarks.workloads import WORKLOADS, write
from db.engine import Database, open_database
from db.tables import State, batches, instances, work

_TARGET = Target(at_most=300)
_POLL_SECONDS = 0.004
_PAUSES_SECONDS = (0.3, 0.9)
_START_SECONDS = 90
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class _Drop:
    """Milliseconds from closing one file to each of the following steps."""

    registered: float
    batched: float
    claimed: float
    analysed: float
    readable: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure p50, p95 and p99 over single files. `--repeat` has no effect, because each file is a repetition."""
    drops = _drops(plan)
    totals = sorted(drop.readable for drop in drops)
    steps = zip(("registered", "in a batch", "claimed", "analysed", "readable"), *map(astuple, drops), strict=True)
    parts = ", ".join(f"{name} {statistics.median(values):.0f}" for name, *values in steps)
    for percent in (50, 95, 99):
        yield Figure(
            name=f"file closed -> result in the database, p{percent}",
            values=(totals[min(len(totals) - 1, len(totals) * percent // 100)],),
            unit="ms",
            target=_TARGET if percent == 50 else None,
            note=f"{len(totals)} files; median ms after closing: {parts}",
            bound_by=parts,
        )


def _drops(plan: Plan) -> list[_Drop]:
    with scratch() as work_dir:
        (work_dir / "inbox").mkdir()
        warm_up = 4 * plan.processes
        files = write(WORKLOADS["ct"], work_dir / "ready", warm_up + plan.count(100, 5))
        with running_up(work_dir, plan.processes):
            wait_for_worker(work_dir)
            database = open_database(f"sqlite:///{work_dir / 'state' / 'nightread.sqlite3'}")
            drops = [_drop(database, file, work_dir / "inbox") for file in files]
            database.close()
    return drops[warm_up:]


def _drop(database: Database, file: Path, inbox: Path) -> _Drop:
    time.sleep(random.uniform(*_PAUSES_SECONDS))  # the pipeline is idle again; random: not synchronous with its timers
    (inbox / file.name).write_bytes(file.read_bytes())
    closed = time.time()
    statement = (
        select(instances.c.arrived_at, batches.c.created_at, batches.c.claimed_at, batches.c.finished_at)
        .join(work, work.c.instance_id == instances.c.id)
        .join(batches, batches.c.id == work.c.batch_id, isouter=True)
        .where(instances.c.uri == file.name, work.c.state == State.DONE)
    )
    while time.time() - closed < _TIMEOUT_SECONDS:
        with database.read() as connection:
            row = connection.execute(statement).one_or_none()
        if row is not None:
            moments = [moment.timestamp() for moment in row] + [time.time()]
            registered, batched, claimed, analysed, readable = (1000 * (moment - closed) for moment in moments)
            return _Drop(registered=registered, batched=batched, claimed=claimed, analysed=analysed, readable=readable)
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{file.name} has no result after {_TIMEOUT_SECONDS} s")


@contextmanager
def running_up(work_dir: Path, processes: int, *, api_port: int = 0) -> Iterator[None]:
    """Run `nightread up` as an operator does, with its files in `work_dir`."""
    port = free_port()
    places = [f"--inbox={work_dir / 'inbox'}", f"--state={work_dir / 'state'}"]
    options = ["--model=phantom", f"--workers={processes}", f"--flower-port={port}", f"--api-port={api_port}"]
    command = [sys.executable, "-P", "-m", "cli", "up", *places, *options]
    with (work_dir / "up.log").open("wb") as log:
        up = subprocess.Popen(command, cwd=work_dir, stdout=log, stderr=log)
    try:
        yield
    finally:
        up.terminate()
        up.wait(60)


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_worker(work_dir: Path) -> None:
    """Wait until Celery logs `ready`, after all its processes have loaded their networks."""
    log = work_dir / "state" / "logs" / "worker.log"
    deadline = time.monotonic() + _START_SECONDS
    while not (log.exists() and " ready." in log.read_text("utf-8", "replace")):
        if time.monotonic() > deadline:
            raise RuntimeError(f"`nightread up` did not start: {(work_dir / 'up.log').read_text('utf-8', 'replace')}")
        time.sleep(0.1)
