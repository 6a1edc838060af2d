"""Compare the pipeline with Celery and one image per task (benchmarks.one_image_per_task), with as many processes.

The pipeline analyses thousands of files; the Celery tasks analyse some hundreds. The Celery worker is warm when it is
measured: it gets 16 tasks per process first, so that each of its processes has done a task.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

from benchmarks import baseline_loops
from benchmarks.figures import Figure, Target, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, describe, run
from benchmarks.servers import private_redis
from benchmarks.workloads import WORKLOADS, write

_TARGET = Target(at_least=25)
_FILES = {"28x28-16": 10_240, "ct": 4_096}
_WAIT_SECONDS = 600


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure the ratio of images per second."""
    for name, files in _FILES.items():
        workload = WORKLOADS[name]
        with scratch() as work_dir:
            paths = write(workload, work_dir / "scans", plan.count(files, files // 16))
            some = paths[: plan.count(400, 40)]
            rounds = [_round(plan, work_dir / "scans", some) for _ in range(plan.repeat)]
        pipeline_rate, other_rate = median([whole.rate for whole, _ in rounds]), median([rate for _, rate in rounds])
        yield Figure(
            name=f"pipeline / one task per image, {workload.name}",
            values=tuple(whole.rate / rate for whole, rate in rounds),
            unit="x",
            target=_TARGET,
            note=f"{pipeline_rate:,.0f}/s compared with {other_rate:,.0f}/s ({len(some)} tasks)",
            bound_by=describe(rounds[-1][0]),
        )


def _round(plan: Plan, folder: Path, some: Sequence[Path]) -> tuple[Run, float]:
    with scratch() as work:
        rate = _task_rate(some, work, plan.processes)
        whole = run(folder, work, plan)
    plan.log(f"pipeline {whole.rate:.0f}/s, one task per image {rate:.1f}/s")
    return whole, rate


def _task_rate(paths: Sequence[Path], work: Path, processes: int) -> float:
    """Return images per second, from sending the first task to the last result."""
    database = work / "tutorial.sqlite3"
    baseline_loops.make_table(database)
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
    """Send and await tasks as `classify.delay(path).get()` does, with the client of this round and its own Redis."""
    results = [client.send_task("benchmarks.one_image_per_task.classify", (str(path),)) for path in paths]
    for result in results:
        result.get(timeout=_WAIT_SECONDS)


@contextmanager
def _worker(wanted: Mapping[str, str], work: Path, processes: int) -> Iterator[None]:
    """Run the worker of one_image_per_task with Celery's defaults, without a GPU and with few TensorFlow messages."""
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
