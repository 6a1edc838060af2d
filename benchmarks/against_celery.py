"""The pipeline against Celery with one image per task (benchmarks.one_image_per_task), the same number of processes.

The pipeline has thousands of the files, the other some hundreds of them: both are rates of a run that is under way.
Warm-up of the other: tasks until each of its processes has done one, and as many again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

from benchmarks import loops
from benchmarks.figures import Bar, Figure, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, describe, run
from benchmarks.servers import private_redis
from benchmarks.workloads import WORKLOADS, write

_BAR = Bar(at_least=25)
_FILES = {"28x28-16": 10_240, "ct": 4_096}
_WAIT_SECONDS = 600


def measure(plan: Plan) -> Iterator[Figure]:
    """Ratios of images per second."""
    for name, files in _FILES.items():
        workload = WORKLOADS[name]
        with scratch() as place:
            paths = write(workload, place / "scans", plan.count(files, files // 16))
            some = paths[: plan.count(400, 40)]
            rounds = [_round(plan, place / "scans", some) for _ in range(plan.repeat)]
        ours, theirs = median([whole.rate for whole, _ in rounds]), median([rate for _, rate in rounds])
        yield Figure(
            name=f"pipeline / one task per image, {workload.name}",
            values=tuple(whole.rate / rate for whole, rate in rounds),
            unit="x",
            bar=_BAR,
            note=f"{ours:,.0f}/s against {theirs:,.0f}/s ({len(some)} tasks)",
            bound_by=describe(rounds[-1][0]),
        )


def _round(plan: Plan, folder: Path, some: Sequence[Path]) -> tuple[Run, float]:
    with scratch() as work:
        rate = _task_rate(some, work, plan.processes)
        whole = run(folder, work, plan)
    plan.say(f"pipeline {whole.rate:.0f}/s, one task per image {rate:.1f}/s")
    return whole, rate


def _task_rate(paths: Sequence[Path], work: Path, processes: int) -> float:
    """Images per second from the first `delay` to the last result."""
    database = work / "tutorial.sqlite3"
    loops.make_table(database)
    with private_redis() as socket_url:
        url = "redis+socket" + socket_url.partition("?")[0].removeprefix("unix")
        with _worker({"TUTORIAL_REDIS": url, "TUTORIAL_DATABASE": str(database)}, work, processes):
            client = Celery("tutorial", broker=url, backend=url, set_as_current=False)
            for _ in range(2):
                _classify_all(client, paths[: 8 * processes])
            started = time.perf_counter()
            _classify_all(client, paths)
            seconds = time.perf_counter() - started
            client.close()
    return len(paths) / seconds


def _classify_all(client: Celery, paths: Sequence[Path]) -> None:
    """What `classify.delay(path)` and `.get()` do; a client of its own, because each round has a Redis of its own."""
    results = [client.send_task("benchmarks.one_image_per_task.classify", (str(path),)) for path in paths]
    for result in results:
        result.get(timeout=_WAIT_SECONDS)


@contextmanager
def _worker(wanted: Mapping[str, str], work: Path, processes: int) -> Iterator[None]:
    """The tutorial's worker with Celery's defaults; only TensorFlow's messages are turned down."""
    environment = {**os.environ, **wanted, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    options = ["--concurrency", str(processes), "--loglevel", "INFO"]
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.one_image_per_task", "worker", *options]
    with (work / "tutorial.log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(60)
