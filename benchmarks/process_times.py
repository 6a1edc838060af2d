"""Measure the processor time of this process and its descendants, by part of the pipeline."""

from collections import defaultdict

import psutil

PRODUCER, REDIS, CELERY, WORKERS, POSTGRES, LOOPS = (
    "producer",
    "Redis",
    "Celery's parent",
    "worker processes",
    "PostgreSQL",
    "loops",
)
"""The parts of the pipeline. This process is the producer: it scans, registers and dispatches as in `nightread run`."""


def cpu_seconds() -> defaultdict[str, float]:
    """Return user and system seconds of this process, its living descendants and their ended children, by part.

    The difference between two calls is the cost of a run. A process that ended in between is counted with its parent.
    """
    own = psutil.Process()
    seconds = defaultdict(float, {PRODUCER: _spent(own)})
    for process in own.children(recursive=True):
        try:
            seconds[_part_of(process)] += _spent(process)
        except psutil.NoSuchProcess:
            continue  # it has just ended, so the next call counts it with its parent
    return seconds


def worker_processes() -> list[psutil.Process]:
    """List the processes of Celery's pool, which analyse images."""
    return [process for process in psutil.Process().children(recursive=True) if _part_of(process) == WORKERS]


def describe(cpu: dict[str, float]) -> str:
    """Describe microseconds per image by part, the largest first."""
    parts = sorted(cpu.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {spent:.0f}" for name, spent in parts if spent >= 0.5)


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _part_of(process: psutil.Process) -> str:
    name = process.name()
    if name.startswith("redis-server"):
        return REDIS
    if name.startswith("postgres"):
        return POSTGRES
    if not _is_celery(process):
        return LOOPS
    parent = process.parent()
    return WORKERS if parent is not None and _is_celery(parent) else CELERY


def _is_celery(process: psutil.Process) -> bool:
    return "worker.app" in process.cmdline()
