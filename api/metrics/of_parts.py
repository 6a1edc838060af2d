"""Turn the heartbeats of the parts of nightread into metrics. No label names a host, a source or a destination."""

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from api.metrics.families import gauge
from api.status import Status
from db.condition import Part, PartState
from db.condition.source_problems import source_problems


def part_metrics(status: Status) -> Iterator[Metric]:
    """Yield the metrics of the parts that run, ran recently or are expected to run."""
    parts = status.condition.parts
    known = [part for part in parts if part.state is not PartState.UNKNOWN]
    up = "1 if all parts of this kind work, 0 if one does not; absent if their state is unknown or none is needed."
    yield gauge("part_up", up, {(kind,): float(_all_work(kind, known)) for kind in _kinds(known)}, labels=("part",))
    counts = Counter((part.kind.value, part.state.value) for part in parts)
    states = {(kind, state.value): counts[kind, state.value] for kind in _kinds(parts) for state in PartState}
    yield gauge("parts", "Parts, by the state that their heartbeats show.", states, labels=("part", "state"))
    latest = {(kind,): seen for kind in _kinds(parts) if (seen := _last_heartbeat(kind, parts)) is not None}
    text = "Latest heartbeat of a part of this kind, by the clock of the database."
    yield gauge("part_last_heartbeat_timestamp_seconds", text, latest, labels=("part",))
    skew = max((abs(part.ahead_seconds) for part in parts if part.state.works), default=0.0)
    yield gauge("clock_skew_seconds", "Largest difference between the clocks of a part and the database.", skew)
    slots = sum(worker.slots for worker in status.workers if worker.alive)
    yield gauge("worker_processes", "Processes of the workers that are alive.", slots)
    yield from _sources(status)


def _sources(status: Status) -> Iterator[Metric]:
    """Count the sources that a part serves: how many have a problem, and how many have none."""
    served = {name for part in status.condition.parts for name in part.sources}
    known = [source for source in status.sources if source.name in served]
    bad = sum(1 for source in known if any(source_problems(source, status.at)))
    values = {("fine",): float(len(known) - bad), ("problem",): float(bad)}
    yield gauge("sources", "Sources that a part serves, by whether they have a problem.", values, labels=("state",))


def _kinds(parts: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(part.kind.value for part in parts))


def _all_work(kind: str, parts: Sequence[Part]) -> bool:
    return all(part.state.works for part in parts if part.kind.value == kind)


def _last_heartbeat(kind: str, parts: Sequence[Part]) -> float | None:
    times = [part.heartbeat_at for part in parts if part.kind.value == kind and part.heartbeat_at is not None]
    return max(times).timestamp() if times else None
