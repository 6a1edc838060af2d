"""Pass the state of the queue from the dispatcher through Redis to Flower, which cannot reach the database.

A report holds numbers and ids, but no path, no name and no text that a person wrote.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from redis import Redis

_KEY = "nightread.queue_report"
_KEPT_MS = 30 * 24 * 3600 * 1000
"""Redis keeps a report for 30 days. Its age follows from the time that is left, so only the clock of Redis is used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseReport:
    """One active pause."""

    cause: str
    """`person`, `breaker` or `disk`."""
    source_id: int | None
    """The id of the paused source; None if the dispatch of all images is paused."""
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueReport:
    """What waits and what is being analysed, as the dispatcher sees it."""

    waiting: int
    """Images that wait for a batch, including those that are `postponed`."""
    postponed: int
    """Images that are not tried before a later time, such as files that are still arriving."""
    in_batches: int
    """Images in batches that are published or being analysed."""
    batches_published: int
    """Batches that no worker has taken yet."""
    batches_claimed: int
    """Batches that are being analysed."""
    processes: int
    """Processes of live workers."""
    pauses: tuple[PauseReport, ...]
    next_seconds: float
    """Seconds until the next report."""

    @property
    def is_paused(self) -> bool:
        """Return whether the dispatch of all images is paused."""
        return any(pause.source_id is None for pause in self.pauses)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a report. Raises ValueError, TypeError or LookupError if it is invalid, or from another release."""
        found: dict[str, Any] = json.loads(text)
        pauses = tuple(
            PauseReport(
                cause=str(pause["cause"]),
                source_id=None if pause["source_id"] is None else int(pause["source_id"]),
                since=datetime.fromisoformat(pause["since"]),
            )
            for pause in found.pop("pauses")
        )
        seconds = float(found.pop("next_seconds"))
        return cls(pauses=pauses, next_seconds=seconds, **{name: int(number) for name, number in found.items()})


class AgedReport(NamedTuple):
    """A report and the seconds since it was written."""

    report: QueueReport
    age_seconds: float


def write_queue_report(redis: Redis, report: QueueReport) -> None:
    """Replace the report in Redis. Raises RedisError or OSError."""
    redis.set(_KEY, report.to_json(), px=_KEPT_MS)


def read_queue_report(redis: Redis) -> AgedReport | None:
    """Return the latest report; None if there is none. Raises RedisError or OSError, and what `from_json` raises."""
    with redis.pipeline() as both:
        both.get(_KEY)
        both.pttl(_KEY)
        text, left_ms = both.execute()
    if text is None:
        return None
    return AgedReport(QueueReport.from_json(text), max(0, _KEPT_MS - left_ms) / 1000)
