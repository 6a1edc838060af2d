"""Processor time of everything that was started from here, by part."""

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
"""This process is the producer: it scans, registers and dispatches, as `nightread run` does."""


def cpu_seconds() -> defaultdict[str, float]:
    """User and system seconds so far, of all living processes below this one and of their ended children.

    Differences between two calls are what a run cost: who ended in between is counted by its parent.
    """
    own = psutil.Process()
    seconds = defaultdict(float, {PRODUCER: _spent(own)})
    for process in own.children(recursive=True):
        try:
            seconds[_part_of(process)] += _spent(process)
        except psutil.NoSuchProcess:
            continue  # its parent has counted it by the next call
    return seconds


def worker_processes() -> list[psutil.Process]:
    """The pool's children, which analyse."""
    return [process for process in psutil.Process().children(recursive=True) if _part_of(process) == WORKERS]


def describe(cpu: dict[str, float]) -> str:
    """Microseconds an image by part, the largest first."""
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
