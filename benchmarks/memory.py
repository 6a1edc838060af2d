"""Measure the memory of the worker processes over a long run."""

from collections.abc import Iterator

from benchmarks import process_times
from benchmarks.figures import Figure, Target
from benchmarks.plan import Plan, scratch
from benchmarks.run import run
from benchmarks.workloads import WORKLOADS, write

_TARGET = Target(at_most=300)
_GROWTH_TARGET = Target(at_most=1.05)
_MARKS = (0.1, 0.5, 1.0)


class _MemorySampler:
    """Reads the resident memory of each worker process when 10 %, 50 % and 100 % of the images are done."""

    def __init__(self, images: int) -> None:
        self._images = images
        self.megabytes: dict[float, list[float]] = {}

    def __call__(self, unfinished: int) -> None:
        done = 1 - unfinished / self._images
        for mark in _MARKS:
            if done >= mark and mark not in self.megabytes:
                self.megabytes[mark] = [each.memory_info().rss / 1e6 for each in process_times.worker_processes()]


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the memory of the largest worker process at the end and after a tenth of the images, in a single run."""
    images = plan.count(100_000, 2_000)
    sampler = _MemorySampler(images)
    with scratch() as work_dir:
        plan.log(f"writing {images:,} files")
        write(WORKLOADS["28x28-16"], work_dir / "scans", images)
        run(work_dir / "scans", work_dir, plan, on_progress=sampler)
    parts = ", ".join(f"{mark:.0%}: {_megabytes(sampler.megabytes[mark])} MB" for mark in _MARKS)
    yield Figure(
        name=f"memory of a worker process after {images:,} images",
        values=(max(sampler.megabytes[1.0]),),
        unit="MB",
        target=_TARGET,
        note=f"each process after {parts}",
        bound_by=parts,
    )
    yield Figure(
        name=f"worker memory after {images:,} images / after a tenth of them",
        values=(max(sampler.megabytes[1.0]) / max(sampler.megabytes[0.1]),),
        unit="x",
        target=_GROWTH_TARGET,
        note=f"each process after {parts}",
        bound_by=parts,
    )


def _megabytes(values: list[float]) -> str:
    return " and ".join(f"{value:.0f}" for value in values)
