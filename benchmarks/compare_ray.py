"""Compare the pipeline with Ray Data's `map_batches` on the same functions (benchmarks.baseline_loops.bare).

Ray Data has as many actors as the pipeline has processes. It has no persistent queue, ledger or retries, and stores
results with the bulk insert of the bare loop.

Ray starts its actors together with the data, so a warm start is not possible. The rate therefore counts only the files
that were finished after the last actor had loaded and warmed up its network.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import baseline_loops
from benchmarks.figures import NOT_INSTALLED, Figure, Target, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, describe, run
from benchmarks.workloads import WORKLOADS, Workload, write

_TARGET = Target(at_least=1.2)
_WORKLOADS = ("28x28-16", "ct")


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure the ratio of images per second."""
    for name in _WORKLOADS:
        workload = WORKLOADS[name]
        title = f"pipeline / Ray Data, {workload.name}"
        if find_spec("ray") is None:
            yield Figure(name=title, target=_TARGET, note=NOT_INSTALLED)
            continue
        with scratch() as work_dir:
            paths = write(workload, work_dir / "scans", plan.count(workload.images, workload.images // 4))
            rounds = [_round(plan, workload, paths) for _ in range(plan.repeat)]
        pipeline_rate, other_rate = median([whole.rate for whole, _ in rounds]), median([rate for _, rate in rounds])
        yield Figure(
            name=title,
            values=tuple(whole.rate / rate for whole, rate in rounds),
            unit="x",
            target=_TARGET,
            note=f"a goal; {pipeline_rate:,.0f}/s compared with {other_rate:,.0f}/s",
            bound_by=describe(rounds[-1][0]),
        )


def _round(plan: Plan, workload: Workload, paths: Sequence[Path]) -> tuple[Run, float]:
    with scratch() as work:
        # In a separate process, because Ray leaves signal handlers and threads behind.
        with ProcessPoolExecutor(1, get_context("spawn")) as executor:
            rate = executor.submit(_ray_rate, workload, paths, work, plan.processes).result()
        whole = run(paths[0].parent, work, plan)
    plan.log(f"{workload.name}: pipeline {whole.rate:.0f}/s, Ray Data {rate:.0f}/s")
    return whole, rate


def _ray_rate(workload: Workload, paths: Sequence[Path], work: Path, processes: int) -> float:
    import ray

    database = work / "ray.sqlite3"
    baseline_loops.make_table(database)
    environment = {**baseline_loops.ONE_THREAD, "PYTHONPATH": str(Path(__file__).parents[1])}
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's spelling; with its default of 15 other programs would go first
    ray.init(
        num_cpus=processes,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": environment},
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        done = ray.data.from_items([str(path) for path in paths]).map_batches(
            _Analyser,
            fn_constructor_kwargs={"database": str(database), "warm_up": [str(p) for p in paths[: workload.batch]]},
            batch_size=workload.batch,
            compute=ray.data.ActorPoolStrategy(size=processes),
            num_cpus=1,
        )
        rows = done.take_all()
    finally:
        ray.shutdown()
    return _rate(rows)


def _rate(rows: list[dict[str, Any]]) -> float:
    warm = max(row["warm_at"] for row in rows)
    timed = [row["done_at"] for row in rows if row["done_at"] > warm]
    return float(len(timed) / (max(timed) - warm))


class _Analyser:
    """The object that map_batches makes once per actor and calls with each batch."""

    def __init__(self, database: str, warm_up: Sequence[str]) -> None:
        import cv2

        from models.catalogue import find_bundle

        cv2.setNumThreads(1)
        self._bundle = find_bundle("phantom")
        # Ray calls this object in another thread than the one that makes it.
        self._connection = sqlite3.connect(database, timeout=60, check_same_thread=False)
        baseline_loops.bare(self._bundle, [Path(path) for path in warm_up], self._connection)
        self._warm_at = time.time()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        paths = [Path(path) for path in batch["item"]]
        baseline_loops.bare(self._bundle, paths, self._connection)
        return {"warm_at": [self._warm_at] * len(paths), "done_at": [time.time()] * len(paths)}
