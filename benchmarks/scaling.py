"""Measure the efficiency of 1 to 16 worker processes on one machine, with a network that only sleeps.

Each call of the network with at most 64 images takes 200 ms without processor time, as on a GPU. Nothing is read or
decoded (benchmarks/fakes). So one process can analyse at most 320 images per second, and 16 processes at most 5,120.
Efficiency is the measured rate divided by this maximum: it is lower if the shared parts (dispatcher, Redis, Celery,
database) are the limit.
"""

from collections.abc import Iterator

from benchmarks.figures import Figure, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, run
from benchmarks.stand_ins import stand_ins_for_reading, write_placeholders

_NETWORK_SECONDS = 0.2
_PER_PROCESS_RATE = 64 / _NETWORK_SECONDS
_PROCESSES = (1, 2, 4, 8, 16)


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure the efficiency for each number of processes. Its maximum is 1."""
    per_process = plan.count(2_048, 768)
    for processes in _PROCESSES:
        runs = [_run(plan, processes, per_process * processes) for _ in range(plan.repeat)]
        yield Figure(
            name=f"{processes} worker processes, a network that sleeps 200 ms",
            values=tuple(each.rate / (_PER_PROCESS_RATE * processes) for each in runs),
            unit="of the maximum",
            note=f"{median([each.rate for each in runs]):,.0f} of {_PER_PROCESS_RATE * processes:,.0f} images/s; "
            f"{median([each.cores_busy for each in runs]):.2f} cores at work",
        )


def _run(plan: Plan, processes: int, images: int) -> Run:
    with scratch() as work_dir, stand_ins_for_reading(network_seconds=_NETWORK_SECONDS):
        write_placeholders(work_dir / "scans", images)
        done = run(work_dir / "scans", work_dir, plan, processes=processes)
    plan.log(f"{processes} processes: {done.rate:,.0f} images/s")
    return done
