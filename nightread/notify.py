"""Redis clients, and the nudge that spares the dispatcher its next second of sleep."""

import logging

from redis import Redis
from redis.exceptions import RedisError

from nightread.contract import NOTIFY_CHANNEL

log = logging.getLogger(__name__)


def open_redis(redis_url: str) -> Redis:
    """A client that gives up after seconds rather than hang; connects at its first command."""
    return Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2)


def notify_dispatcher(redis: Redis) -> None:
    """Tell the dispatcher to look. A lost nudge costs one poll interval, so a Redis that is away is no error."""
    try:
        redis.publish(NOTIFY_CHANNEL, "")
    except (RedisError, OSError) as error:
        log.debug("the dispatcher was not woken", extra={"error": type(error).__name__})
