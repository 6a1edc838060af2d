"""Read the state of the work for `nightread status` and /v1/status. This module needs no web framework."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from api.status_json import condition_json, pause_json, postponed_json, rerun_json, source_json
from api.worker_models import worker_model_warnings
from db import queries
from db.condition import ConditionProblem, Level, SystemCondition, read_condition
from db.condition.remaining_work import is_paused, ready_images
from db.engine import Database
from nightread.nights import Nights
from nightread.reasons import Fault
from nightread.settings import Settings
from producer.dispatcher.disk_space import DiskSpace, disk_space

_FAR_SECONDS = 10 * 365 * 86400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The state of the work at one time."""

    at: datetime
    condition: SystemCondition
    """What is wrong, what waits for what, and whether the work will end in time."""
    tally: queries.Tally
    reasons: Sequence[tuple[str, str, str, int]]
    image_remarks: Mapping[str, int]
    pace: queries.Pace
    postponed: Sequence[queries.Postponed]
    """Images that are retried later; `pace` does not count them."""
    held: int
    """Number of images that wait because their source is paused; `pace` does not count them."""
    oldest_waiting: datetime | None
    batches_published: int
    batches_claimed: int
    workers: Sequence[queries.Worker]
    rules: int
    """Number of active routing rules."""
    deadline: datetime
    sources: Sequence[queries.Source]
    pauses: Sequence[queries.Pause]
    studies: queries.StudyCounts
    """Studies whose expected number of images was reported since the current or last night began."""
    series: queries.SeriesCounts
    reruns: Sequence[queries.WaitingRerun]
    """Re-runs with waiting images; counts, pace and expected end do not include these images."""
    withdrawn: int
    replaced: int
    disk: DiskSpace
    conflicts: int

    @property
    def ready(self) -> int:
        """Return the number of unfinished images that wait neither for a later time nor for a paused source."""
        return ready_images(self.tally.unfinished, self.postponed, self.held)

    @property
    def is_paused(self) -> bool:
        """Return whether the dispatch of all images is paused."""
        return is_paused(self.pauses)

    @property
    def done_by(self) -> datetime | None:
        """Return the time when the last image will be done at the current pace; None if it is unknown."""
        eta = self.pace.eta_seconds
        return self.at + timedelta(seconds=min(eta, _FAR_SECONDS)) if eta is not None else None

    @property
    def oldest_waiting_seconds(self) -> float | None:
        """Return the age of the oldest waiting image, in seconds."""
        return max(0.0, (self.at - self.oldest_waiting).total_seconds()) if self.oldest_waiting else None

    def rejected_for(self, fault: Fault) -> int:
        """Return the number of rejected images whose reason has this class."""
        return sum(images for state, _, of_class, images in self.reasons if state == "rejected" and of_class == fault)

    def to_json(self, settings: Settings) -> dict[str, Any]:
        """Return the object for `--json`. Later releases keep the names of its members."""
        return {
            **condition_json(self.condition),
            **self.tally.to_json(),
            "rejected_defective": self.rejected_for(Fault.DEFECTIVE),
            "out_of_scope": self.rejected_for(Fault.OUT_OF_SCOPE),
            "adds_up": self.tally.adds_up,
            "rate_per_second": round(self.pace.per_second, 3),
            "eta_seconds": self.pace.eta_seconds,
            "done_by": self.done_by.isoformat() if self.done_by and self.ready else None,
            "postponed": [postponed_json(group) for group in self.postponed],
            "held": self.held,
            "deadline": self.deadline.isoformat(),
            "oldest_waiting_seconds": self.oldest_waiting_seconds,
            "batches": {"published": self.batches_published, "claimed": self.batches_claimed},
            "workers": [{**asdict(worker), "alive": worker.alive} for worker in self.workers],
            "worker_warnings": list(worker_model_warnings(self.workers, self.rules)),
            "studies": asdict(self.studies),
            "series": asdict(self.series),
            "reruns": [rerun_json(each) for each in self.reruns],
            "withdrawn": self.withdrawn,
            "replaced": self.replaced,
            "disk": self.disk.to_json(),
            "conflicts": self.conflicts,
            "image_remarks": dict(self.image_remarks),
            "pauses": [pause_json(pause, settings) for pause in self.pauses],
            "sources": [source_json(source) for source in self.sources],
            "reasons": [
                {"state": state, "reason": reason, "class": fault, "images": images}
                for state, reason, fault, images in self.reasons
            ],
        }


def take_status(database: Database, settings: Settings, nights: Nights, now: datetime) -> Status:
    """Read from the database everything that `status` shows."""
    condition = take_condition(database, settings, nights, now)
    tally, left = condition.tally, condition.left
    published, claimed = queries.open_batches(database)
    return Status(
        at=now,
        condition=condition,
        tally=tally,
        reasons=queries.reasons(database),
        image_remarks=queries.remarks(database),
        pace=left.pace,
        postponed=left.postponed,
        held=left.held,
        oldest_waiting=queries.oldest_waiting(database) if tally.waiting else None,
        batches_published=published,
        batches_claimed=claimed,
        workers=queries.workers(database, now=now),
        rules=len(queries.routes_in_force(database)),
        deadline=condition.outlook.deadline,
        sources=condition.sources,
        pauses=left.pauses,
        studies=queries.study_counts(database, since=nights.bounds(nights.latest(now))[0]),
        series=queries.series_counts(database),
        reruns=queries.waiting_reruns(database),
        withdrawn=queries.withdrawn(database),
        replaced=queries.replaced(database),
        disk=disk_space(settings),
        conflicts=queries.conflicts(database),
    )


def take_condition(database: Database, settings: Settings, nights: Nights, now: datetime) -> SystemCondition:
    """Read the present condition from the database and from the disks of this host."""
    return read_condition(database, settings, nights, now=now, further=list(disk_problems(settings)))


def disk_problems(settings: Settings) -> Iterator[ConditionProblem]:
    """Yield a problem if a disk of this host is nearly full."""
    if disk_space(settings).is_low:
        yield ConditionProblem(level=Level.DEGRADED, kind="disk", subject="", text="a disk of this host is nearly full")
