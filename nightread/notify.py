"""Open Redis clients, and notify the dispatcher of new work."""

import logging

from redis import Redis
from redis.exceptions import RedisError

from nightread.contract import NOTIFY_CHANNEL, OUTCOMES_CHANNEL

log = logging.getLogger(__name__)


def open_redis(redis_url: str) -> Redis:
    """Return a client that connects at its first command and times out after 5 s (2 s for the connection)."""
    return Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2)


def notify_dispatcher(redis: Redis) -> None:
    """Publish a notification, so that the dispatcher looks for work at once.

    A lost notification only delays the work by `poll_seconds`. Errors of Redis are therefore logged and not raised.
    """
    try:
        redis.publish(NOTIFY_CHANNEL, "")
    except (RedisError, OSError) as error:
        log.debug("the dispatcher was not notified", extra={"error": type(error).__name__})


def announce_outcomes(redis: Redis, batch_id: str) -> None:
    """Publish that the outcomes of a batch are committed, and notify the dispatcher, in one round trip.

    A lost message only delays answers of the API by a second. Errors of Redis are therefore logged and not raised.
    """
    try:
        with redis.pipeline(transaction=False) as both:
            both.publish(NOTIFY_CHANNEL, "")
            both.publish(OUTCOMES_CHANNEL, batch_id)
            both.execute()
    except (RedisError, OSError) as error:
        log.debug("the outcomes of a batch were not announced", extra={"error": type(error).__name__})
