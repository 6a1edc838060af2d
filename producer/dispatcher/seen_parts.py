"""Detect whether Redis and Flower are alive: neither of them can write a heartbeat to the database."""

from collections.abc import Iterator

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from db.ledger import Heartbeat, PartKind
from nightread.redis_signs import read_signs

_FRESH_SECONDS = 25.0
"""Flower writes a sign of life every ten seconds; a sign that is older than this is ignored."""
REDIS_NODE = "redis"


class SeenParts:
    """Asks Redis whether it is alive, and reads the signs of life that Flower writes to Redis."""

    def __init__(self, redis: Redis) -> None:
        """`redis` must not be the client of the dispatcher, which runs in another thread."""
        self._redis = redis

    def look(self) -> list[Heartbeat]:
        """Return heartbeats of Redis, and of each Flower that is alive or was stopped; none if Redis is unavailable."""
        try:
            return list(self._heartbeats())
        except (RedisError, OSError):
            return []

    def _heartbeats(self) -> Iterator[Heartbeat]:
        yield Heartbeat(part=PartKind.REDIS, node=REDIS_NODE, boot_id=self._run_id())
        for sign in read_signs(self._redis):
            if sign.stopped or sign.age_seconds <= _FRESH_SECONDS:
                yield Heartbeat(part=PartKind.FLOWER, node=sign.node, boot_id=sign.boot_id, stopped=sign.stopped)

    def _run_id(self) -> str:
        """Return the id of this start of Redis; empty if our Redis user may not ask for it. Raises errors of Redis."""
        try:
            return str(self._redis.info("server").get("run_id", ""))[:64]
        except ResponseError:
            self._redis.ping()
            return ""
