"""Look after Redis and Flower for the dispatcher: neither of them can write a heartbeat to the database."""

from collections.abc import Iterator

from redis import Redis
from redis.exceptions import RedisError

from db.ledger import Heartbeat, PartKind
from nightread.redis_signs import read_signs

_FRESH_SECONDS = 25.0
"""Flower leaves a sign every ten seconds; an older one is no heartbeat."""
REDIS_NODE = "redis"


class SeenParts:
    """Pings Redis and reads the signs of life that Flower leaves there."""

    def __init__(self, redis: Redis) -> None:
        """`redis` is a client of its own, since this runs in another thread than the dispatcher."""
        self._redis = redis

    def look(self) -> list[Heartbeat]:
        """Return a heartbeat of each part that is alive; none if Redis is unavailable."""
        try:
            return list(self._heartbeats())
        except (RedisError, OSError):
            return []

    def _heartbeats(self) -> Iterator[Heartbeat]:
        run_id = str(self._redis.info("server").get("run_id", ""))
        yield Heartbeat(part=PartKind.REDIS, node=REDIS_NODE, boot_id=run_id[:64])
        for sign in read_signs(self._redis):
            if sign.stopped or sign.age_seconds <= _FRESH_SECONDS:
                yield Heartbeat(part=PartKind.FLOWER, node=sign.node, boot_id=sign.boot_id, stopped=sign.stopped)
