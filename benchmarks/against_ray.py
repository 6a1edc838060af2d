"""The pipeline against Ray Data's `map_batches` on the same functions (benchmarks.loops.bare).

It has as many actors as we have processes, no queue that survives, no ledger and no retries: the bulk insert of the
bare loop.

Ray starts its actors with the data, so that a warm start cannot be had: what is timed are the files that were finished
after the last actor had its network loaded and warm.
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

from benchmarks import loops
from benchmarks.figures import NOT_INSTALLED, Bar, Figure, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, describe, run
from benchmarks.workloads import WORKLOADS, Workload, write

_BAR = Bar(at_least=1.2)
_WORKLOADS = ("28x28-16", "ct")


def measure(plan: Plan) -> Iterator[Figure]:
    """Ratios of images per second."""
    for name in _WORKLOADS:
        workload = WORKLOADS[name]
        title = f"pipeline / Ray Data, {workload.name}"
        if find_spec("ray") is None:
            yield Figure(name=title, bar=_BAR, note=NOT_INSTALLED)
            continue
        with scratch() as place:
            paths = write(workload, place / "scans", plan.count(workload.images, workload.images // 4))
            rounds = [_round(plan, workload, paths) for _ in range(plan.repeat)]
        ours, theirs = median([whole.rate for whole, _ in rounds]), median([rate for _, rate in rounds])
        yield Figure(
            name=title,
            values=tuple(whole.rate / rate for whole, rate in rounds),
            unit="x",
            bar=_BAR,
            note=f"a goal; {ours:,.0f}/s against {theirs:,.0f}/s",
            bound_by=describe(rounds[-1][0]),
        )


def _round(plan: Plan, workload: Workload, paths: Sequence[Path]) -> tuple[Run, float]:
    with scratch() as work:
        # In a process of its own: Ray leaves signal handlers and threads behind.
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            rate = apart.submit(_ray_rate, workload, paths, work, plan.processes).result()
        whole = run(paths[0].parent, work, plan)
    plan.say(f"{workload.name}: pipeline {whole.rate:.0f}/s, Ray Data {rate:.0f}/s")
    return whole, rate


def _ray_rate(workload: Workload, paths: Sequence[Path], work: Path, processes: int) -> float:
    import ray

    database = work / "ray.sqlite3"
    loops.make_table(database)
    environment = {**loops.ONE_THREAD, "PYTHONPATH": str(Path(__file__).parents[1])}
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's spelling; its 15 would yield to whatever runs here
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
            _Analyst,
            fn_constructor_kwargs={"database": str(database), "warm_up": [str(p) for p in paths[: workload.batch]]},
            batch_size=workload.batch,
            compute=ray.data.ActorPoolStrategy(size=processes),
            num_cpus=1,
        )
        rows = done.register_all()
    finally:
        ray.shutdown()
    return _rate(rows)


def _rate(rows: list[dict[str, Any]]) -> float:
    warm = max(row["warm_at"] for row in rows)
    timed = [row["done_at"] for row in rows if row["done_at"] > warm]
    return float(len(timed) / (max(timed) - warm))


class _Analyst:
    """What map_batches makes once per actor, and calls with each batch."""

    def __init__(self, database: str, warm_up: Sequence[str]) -> None:
        import cv2

        from models.catalogue import find_bundle

        cv2.setNumThreads(1)
        self._bundle = find_bundle("phantom")
        # Ray calls from another thread than it constructs in.
        self._connection = sqlite3.connect(database, timeout=60, check_same_thread=False)
        loops.bare(self._bundle, [Path(path) for path in warm_up], self._connection)
        self._warm_at = time.time()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        paths = [Path(path) for path in batch["item"]]
        loops.bare(self._bundle, paths, self._connection)
        return {"warm_at": [self._warm_at] * len(paths), "done_at": [time.time()] * len(paths)}
