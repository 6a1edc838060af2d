"""Exchange messages with dispatcher and workers through Redis. A lost message only delays a response."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from nightread.contract import NOTIFY_CHANNEL, OUTCOMES_CHANNEL

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_HEALTH_CHECK_SECONDS = 20


class RedisMessages:
    """Receives messages about recorded batches, and notifies the dispatcher of new images."""

    def __init__(
        self, redis_url: str, on_outcomes: Callable[[str], None], on_subscribed: Callable[[], None] = lambda: None
    ) -> None:
        """`on_outcomes` is called with the id of each recorded batch.

        `on_subscribed` is called after each subscription, because earlier messages may be lost.
        """
        self._redis_url = redis_url
        self._on_outcomes = on_outcomes
        self._on_subscribed = on_subscribed
        self._wanted = asyncio.Event()
        self._is_connected = True

    def notify_dispatcher(self) -> None:
        """Request a notification of the dispatcher. Requests made before it is sent become one notification."""
        self._wanted.set()

    async def send(self) -> None:
        """Send notifications until the task is cancelled.

        While Redis is unavailable, the dispatcher looks for new images every second.
        """
        async with Redis.from_url(self._redis_url, socket_timeout=5, socket_connect_timeout=2) as redis:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                try:
                    await redis.publish(NOTIFY_CHANNEL, "")
                except (RedisError, OSError) as error:
                    log.debug("the dispatcher was not notified", extra={"error": type(error).__name__})

    async def listen(self) -> None:
        """Listen for recorded batches until the task is cancelled."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                self._log_lost(error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        options: dict[str, Any] = {"socket_connect_timeout": 2, "health_check_interval": _HEALTH_CHECK_SECONDS}
        async with Redis.from_url(self._redis_url, **options) as redis, redis.pubsub() as channel:
            await channel.subscribe(OUTCOMES_CHANNEL)
            while True:
                message = await channel.get_message(timeout=_HEALTH_CHECK_SECONDS / 2)
                if message is None:
                    continue
                if message["type"] == "subscribe":  # also after redis-py has reconnected by itself
                    self._log_found()
                    self._on_subscribed()
                elif message["type"] == "message":
                    self._on_outcomes(message["data"].decode("ascii", "replace"))

    def _log_lost(self, error: Exception) -> None:
        if self._is_connected:
            log.warning("Redis is unavailable: responses may be a second later", extra={"error": type(error).__name__})
        self._is_connected = False

    def _log_found(self) -> None:
        if not self._is_connected:
            log.info("Redis is available again")
        self._is_connected = True
