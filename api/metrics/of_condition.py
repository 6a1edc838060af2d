"""Turn the condition of the system into metrics: its level, the waiting images by cause, and the expected end."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric

from api.metrics.families import gauge, timestamp
from api.status import Status
from db.condition import Verdict
from db.ledger import Cause

_KINDS = ("part", "source", "pause", "deadline", "stalled", "clock", "disk", "counts")
_WAITS = ("ready", "being_analysed", "rest_of_file", "source", "disk_space", "hours", "person", "retry")


def condition_metrics(status: Status) -> Iterator[Metric]:
    """Yield the metrics of the condition. Each possible value of a label is written, also with the value 0."""
    condition = status.condition
    level = "Condition, as in `nightread status`: 0 fine, 1 late, 2 degraded, 3 stopped, 4 lost."
    yield gauge("level", level, float(condition.level))
    problems = Counter(problem.kind for problem in condition.problems)
    yield gauge("problems", "Problems now.", {(kind,): problems[kind] for kind in _KINDS}, labels=("kind",))
    waiting = {(name,): float(getattr(condition.waiting, name)) for name in _WAITS}
    yield gauge(
        "unfinished_images", "Images without an outcome, by what they wait for.", waiting, labels=("waits_for",)
    )
    files = "Files in watched folders that are not complete yet and therefore not registered."
    yield gauge("unregistered_files", files, condition.waiting.unregistered_files)
    yield from _end(status)
    pauses = Counter(pause.cause for pause in status.pauses)
    yield gauge("pauses", "Active pauses.", {(cause.value,): pauses[cause] for cause in Cause}, labels=("cause",))
    yield from _disk(status)


def _end(status: Status) -> Iterator[Metric]:
    ends, at = status.condition.outlook, status.at
    bounds = {"expected": ends.done_by, "earliest": ends.earliest, "latest": ends.latest}
    known = {(bound,): _until(moment, at) for bound, moment in bounds.items() if moment is not None}
    if ends.verdict is Verdict.DONE:
        known = {(bound,): 0.0 for bound in bounds}
    eta = "Time until all images that are ready have their outcome; absent while it is unknown."
    yield gauge("eta_seconds", eta, known, labels=("bound",))
    yield gauge("deadline_timestamp_seconds", "The next end of a night.", timestamp(ends.deadline))
    verdicts = {(verdict.value,): float(verdict is ends.verdict) for verdict in Verdict}
    verdict = "1 for the present verdict on whether the work ends before the deadline, 0 for the other verdicts."
    yield gauge("deadline_verdict", verdict, verdicts, labels=("verdict",))


def _until(moment: datetime, at: datetime) -> float:
    return (moment - at).total_seconds()


def _disk(status: Status) -> Iterator[Metric]:
    disk = status.disk
    free = "Smallest free space of the disks of state folder, database and spool, on the host that computed this."
    yield gauge("disk_free_bytes", free, disk.free_bytes)
    yield gauge("disk_alarm_bytes", "Free space below which `status` warns.", disk.alarm_bytes)
    yield gauge("disk_reserve_bytes", "Free space below which all work is paused.", disk.reserve_bytes)
