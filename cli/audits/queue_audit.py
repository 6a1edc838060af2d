"""The queue in Redis against the open batches of the record."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis.exceptions import RedisError

from cli.embedded.redis_url import redis_url_of
from db import queries
from db.engine import Database
from nightread.errors import StopWork
from nightread.notify import open_redis
from nightread.settings import Settings
from producer.dispatcher.transport import messages_in

FOREIGN = "every message in Redis names a batch of this record"
_GRACE = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFindings:
    """What queue and record do not agree on."""

    trouble: str | None = None
    """Why Redis could not be asked."""
    waiting: int = 0
    """Messages in the queue."""
    delivered: int = 0
    """Messages that a worker has and has not acknowledged."""
    foreign: tuple[str, ...] = ()
    """Task ids of messages that are no batch of this record: another record uses the same Redis."""
    without_message: tuple[str, ...] = ()
    """Batches that wait for more than a minute and of which Redis knows nothing: the dispatcher takes them back."""

    @property
    def summary(self) -> str:
        """In a line."""
        if self.trouble:
            return self.trouble
        return (
            f"{self.waiting:,} batches wait, {self.delivered:,} are with workers, "
            f"{len(self.without_message):,} open batches have no message"
        )

    def to_json(self) -> dict[str, Any]:
        """Stable names for programs."""
        return {
            "trouble": self.trouble,
            "waiting": self.waiting,
            "delivered": self.delivered,
            "foreign": list(self.foreign),
            "without_message": list(self.without_message),
        }


def compare_queue(database: Database, settings: Settings, now: datetime) -> QueueFindings:
    """Look at the record before and after Redis: what moved meanwhile is no finding."""
    try:
        url = redis_url_of(settings)
    except StopWork:
        return QueueFindings(trouble="no Redis is running for this record")
    before = queries.unclaimed_batches(database, created_before=now - _GRACE)
    try:
        with open_redis(url) as redis:
            waiting, delivered = messages_in(redis)
    except (RedisError, OSError) as error:
        return QueueFindings(trouble=f"Redis does not answer ({type(error).__name__})")
    seen = {*waiting, *delivered}
    lost = before & queries.unclaimed_batches(database, created_before=now - _GRACE) - seen
    return QueueFindings(
        waiting=len(waiting),
        delivered=len(delivered),
        foreign=tuple(sorted(seen - queries.known_batches(database, seen))),
        without_message=tuple(sorted(lost)),
    )
