"""Compare the queue in Redis with the open batches of the database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis.exceptions import RedisError

from cli.embedded.redis_url import redis_url_of
from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.errors import StopWork
from nightread.notify import open_redis
from nightread.settings import Settings
from producer.dispatcher.transport import messages_in

FOREIGN = "every message in Redis names a batch of this database"
_GRACE = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFindings:
    """Differences between the queue and the database."""

    trouble: str | None = None
    """Why Redis could not be read; None if Redis was read."""
    waiting: int = 0
    """Number of messages in the queue."""
    delivered: int = 0
    """Number of messages that a worker received and has not acknowledged."""
    foreign: tuple[str, ...] = ()
    """Task ids of messages that do not belong to a batch of this database: another database uses the same Redis."""
    without_message: tuple[str, ...] = ()
    """Unclaimed batches older than a minute that have no message; the dispatcher takes them back."""

    @property
    def summary(self) -> str:
        """Describe the queue in one line."""
        if self.trouble:
            return self.trouble
        return (
            f"{counted(self.waiting, 'batch', 'batches')} waiting, {self.delivered:,} with workers, "
            f"{counted(len(self.without_message), 'open batch', 'open batches')} without a message"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the differences with stable names, for programs."""
        return {
            "trouble": self.trouble,
            "waiting": self.waiting,
            "delivered": self.delivered,
            "foreign": list(self.foreign),
            "without_message": list(self.without_message),
        }


def compare_queue(database: Database, settings: Settings, now: datetime) -> QueueFindings:
    """Compare queue and database.

    The database is read before and after Redis, so that a batch that a worker claims meanwhile is left out.
    """
    try:
        url = redis_url_of(settings)
    except StopWork:
        return QueueFindings(trouble="no Redis is running for this state folder")
    before = queries.unclaimed_batches(database, created_before=now - _GRACE)
    try:
        with open_redis(url) as redis:
            waiting, delivered = messages_in(redis)
    except (RedisError, OSError) as error:
        return QueueFindings(trouble=f"Redis is unavailable ({type(error).__name__})")
    seen = {*waiting, *delivered}
    lost = before & queries.unclaimed_batches(database, created_before=now - _GRACE) - seen
    return QueueFindings(
        waiting=len(waiting),
        delivered=len(delivered),
        foreign=tuple(sorted(seen - queries.known_batches(database, seen))),
        without_message=tuple(sorted(lost)),
    )
