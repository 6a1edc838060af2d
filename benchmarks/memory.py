"""Memory of the worker processes over a long run."""

from collections.abc import Iterator

from benchmarks import process_times
from benchmarks.figures import Bar, Figure
from benchmarks.plan import Plan, scratch
from benchmarks.run import run
from benchmarks.workloads import WORKLOADS, write

_BAR = Bar(at_most=1.05)
_MARKS = (0.1, 0.5, 1.0)


class _Watch:
    """Reads the resident memory of each worker process when a share of the images is done."""

    def __init__(self, images: int) -> None:
        self._images = images
        self.megabytes: dict[float, list[float]] = {}

    def __call__(self, unfinished: int) -> None:
        done = 1 - unfinished / self._images
        for mark in _MARKS:
            if done >= mark and mark not in self.megabytes:
                self.megabytes[mark] = [each.memory_info().rss / 1e6 for each in process_times.worker_processes()]


def measure(plan: Plan) -> Iterator[Figure]:
    """The largest worker process at the end / at a tenth of the way; flat is 5 % at most. Once, whatever `--repeat`."""
    images = plan.count(100_000, 2_000)
    watch = _Watch(images)
    with scratch() as place:
        plan.say(f"writing {images:,} files")
        write(WORKLOADS["28x28-16"], place / "scans", images)
        run(place / "scans", place, plan, heed=watch)
    parts = ", ".join(f"{mark:.0%}: {_megabytes(watch.megabytes[mark])} MB" for mark in _MARKS)
    yield Figure(
        name=f"worker memory after {images:,} images / after a tenth of them",
        values=(max(watch.megabytes[1.0]) / max(watch.megabytes[0.1]),),
        unit="x",
        bar=_BAR,
        note=f"each process at {parts}",
        bound_by=parts,
    )


def _megabytes(values: list[float]) -> str:
    return " and ".join(f"{value:.0f}" for value in values)
