"""From 1 to 16 worker processes on one machine, with a network that sleeps as a GPU's host does.

Each call of the network, 64 images at most, takes 200 ms and no processor; nothing is read or decoded
(benchmarks/fakes). One process can therefore do 320 images a second and no more, and 16 of them 5,120, if nothing that
they share (dispatcher, Redis, Celery, the record) holds them up. Efficiency is the rate over that.
"""

from collections.abc import Iterator

from benchmarks.control_plane_run import no_reading, write_placeholders
from benchmarks.figures import Figure, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, run

_NETWORK_SECONDS = 0.2
_PER_PROCESS_RATE = 64 / _NETWORK_SECONDS
_PROCESSES = (1, 2, 4, 8, 16)


def measure(plan: Plan) -> Iterator[Figure]:
    """Efficiency by number of processes; 1 is what is possible."""
    per_process = plan.count(2_048, 768)
    for processes in _PROCESSES:
        runs = [_run(plan, processes, per_process * processes) for _ in range(plan.repeat)]
        yield Figure(
            name=f"{processes} worker processes, a network that sleeps 200 ms",
            values=tuple(each.rate / (_PER_PROCESS_RATE * processes) for each in runs),
            unit="of what is possible",
            note=f"{median([each.rate for each in runs]):,.0f} of {_PER_PROCESS_RATE * processes:,.0f} images/s; "
            f"{median([each.cores_busy for each in runs]):.2f} cores at work",
        )


def _run(plan: Plan, processes: int, images: int) -> Run:
    with scratch() as place, no_reading(network_seconds=_NETWORK_SECONDS):
        write_placeholders(place / "scans", images)
        done = run(place / "scans", place, plan, processes=processes)
    plan.say(f"{processes} processes: {done.rate:,.0f} images/s")
    return done
