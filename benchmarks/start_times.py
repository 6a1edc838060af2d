"""Measure how long commands take to start and to answer, and how soon a killed worker process is replaced.

Each command runs as a process of its own, as a user starts it, and its wall-clock time is measured. The note has the
processor time of the command and its ended children: the time that the command would take on an idle machine.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import process_times
from benchmarks.figures import Figure, Target, median
from benchmarks.latency import running_up, wait_for_worker
from benchmarks.plan import Plan, scratch
from benchmarks.workloads import WORKLOADS, write
from db import queries
from db.engine import open_database

_NIGHTREAD = (sys.executable, "-P", "-m", "cli")
_ANSWER = b"arrived"  # the tally begins with this word, and is printed last
_READY = "worker process is ready"
_LOOK_SECONDS = 0.005
_TIMEOUT_SECONDS = 60
_IMPORTS = ("click", "pydantic_settings", "sqlalchemy", "rich.console")
"""Libraries that `query` needs in any case."""


@dataclass(frozen=True, kw_only=True)
class _Start:
    """The seconds that one command took."""

    answered: float
    ended: float
    cpu: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure `--version`, `run` of one image, `query` on its database, and the pool of `up`."""
    with scratch() as work_dir:
        scans = work_dir / "scans"
        (scan,) = write(WORKLOADS["ct"], scans, 1)
        runs = [_run(work_dir / f"state-{number}", scan) for number in range(plan.repeat)]
        query = ("query", "--state", str(work_dir / "state-0"))
        repeat = plan.count(5 * plan.repeat, 1)
        yield _figure("nightread --version", [_start("--version") for _ in range(repeat)], at_most=0.15)
        yield _figure(
            "nightread query, one image",
            [_start(*query) for _ in range(repeat)],
            at_most=0.4,
            bound_by=_describe_imports(),
        )
        yield _figure("nightread run of one image: command -> printed answer", runs, at_most=3)
        yield from _replaced_process(plan, work_dir)


def _run(state: Path, scan: Path) -> _Start:
    return _start("run", str(scan), "--state", str(state), "--model", "phantom")


def _start(*arguments: str) -> _Start:
    """Run a command. Its answer is the line that begins with _ANSWER, or else its first line."""
    before = _children_cpu()
    started = time.monotonic()
    answered = 0.0
    with subprocess.Popen([*_NIGHTREAD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for line in process.stdout or ():
            if line.startswith(_ANSWER) or not answered:
                answered = time.monotonic() - started
    if process.returncode:
        raise RuntimeError(f"nightread {' '.join(arguments)} failed with exit code {process.returncode}")
    return _Start(answered=answered, ended=time.monotonic() - started, cpu=_children_cpu() - before)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figure(name: str, starts: list[_Start], *, at_most: float, bound_by: str = "") -> Figure:
    cpu, ended = (median([getattr(start, part) for start in starts]) for part in ("cpu", "ended"))
    return Figure(
        name=name,
        values=tuple(start.answered for start in starts),
        unit="s",
        target=Target(at_most=at_most),
        note=f"ended after {ended:.2f} s; processor time {cpu:.2f} s",
        bound_by=bound_by,
    )


def _describe_imports() -> str:
    """Measure the imports that every command with a database needs, each in a process of its own."""
    spent = {}
    for name in ("sys", *_IMPORTS):
        before = _children_cpu()
        subprocess.run([sys.executable, "-P", "-c", f"import {name}"], check=True)
        spent[name] = _children_cpu() - before
    python = spent.pop("sys")
    parts = ", ".join(f"{name} {seconds - python:.2f}" for name, seconds in spent.items())
    return f"processor seconds to import: Python itself {python:.2f}, {parts}"


def _replaced_process(plan: Plan, work_dir: Path) -> Iterator[Figure]:
    """Kill the only worker process with SIGKILL, and wait until its successor logs that it is ready."""
    inbox, log = work_dir / "inbox", work_dir / "state" / "logs" / "worker.log"
    inbox.mkdir()
    images = plan.count(100, 4)
    files = write(WORKLOADS["ct"], work_dir / "ready", images)
    with running_up(work_dir, 1):
        wait_for_worker(work_dir)
        database = open_database(f"sqlite:///{work_dir / 'state' / 'nightread.sqlite3'}")
        for file in files:
            file.rename(inbox / file.name)
        _wait_until(lambda: queries.tally(database).done == images)
        megabytes = [process.memory_info().rss / 1e6 for process in process_times.worker_processes()]
        database.close()
        seconds = [_seconds_to_replace(process_times.worker_processes()[0], log) for _ in range(plan.repeat)]
    yield Figure(
        name="worker process killed -> its successor is ready",
        values=tuple(seconds),
        unit="s",
        target=Target(at_most=1),
        note="kill -9 until the network is loaded and warm",
    )
    yield Figure(
        name=f"memory of a worker process after {images} images 512x512",
        values=tuple(megabytes),
        unit="MB",
        target=Target(at_most=300),
        note="resident, pages that it shares with its parent included",
    )


def _seconds_to_replace(process: psutil.Process, log: Path) -> float:
    before = log.read_text("utf-8", "replace").count(_READY)
    started = time.monotonic()
    process.kill()
    _wait_until(lambda: log.read_text("utf-8", "replace").count(_READY) > before)
    return time.monotonic() - started


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"no result after {_TIMEOUT_SECONDS} s")
        time.sleep(_LOOK_SECONDS)
