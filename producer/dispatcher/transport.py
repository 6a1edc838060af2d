"""Publish batches to Redis, list the messages in Redis, and wait for notifications."""

import json
import time
from typing import Any, NamedTuple

from celery import Celery
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import RedisError
from redis.retry import Retry

from nightread.contract import (
    ANALYSE_TASK,
    BATCH_LISTS,
    FORM_SERIES_TASK,
    NOTIFY_CHANNEL,
    URGENT_PRIORITY,
    USUAL_PRIORITY,
    VERSION,
    BatchMessage,
)
from nightread.queue_report import QueueReport, write_queue_report

_UNACKED = "unacked"  # kombu's hash of delivered, unacknowledged messages
_TIMEOUT_SECONDS = 1.0
"""Time limit for an answer of Redis, which normally takes a millisecond: a hanging Redis must not delay the sweeps."""


class Messages(NamedTuple):
    """Ids of Celery tasks in Redis. The task of a batch has the id of the batch."""

    waiting: list[str]
    delivered: list[str]
    """Ids of messages that were delivered to a worker and not acknowledged; the worker may be dead."""


def messages_in(redis: Redis) -> Messages:
    """Return the messages in the queue and the delivered, unacknowledged ones, in one round trip."""
    with redis.pipeline() as together:
        for name in BATCH_LISTS:
            together.lrange(name, 0, -1)
        together.hvals(_UNACKED)
        *waiting, delivered = together.execute()
    return Messages(
        [_task_id(text) for texts in waiting for text in texts], [_task_id(text, delivered=True) for text in delivered]
    )


def _task_id(text: bytes, *, delivered: bool = False) -> str:
    """Return the task id of a message, or "unreadable", since other applications may use the same Redis."""
    try:
        message: Any = json.loads(text)
        return str((message[0] if delivered else message)["headers"]["id"])
    except (ValueError, LookupError, TypeError):
        return "unreadable"


class Transport:
    """The batch queue and the notification channel in Redis."""

    def __init__(self, app: Celery, redis: Redis) -> None:
        self._app = app
        self._redis = _with_short_timeouts(redis)
        self._pubsub: PubSub | None = None

    def publish(self, batch_id: str, images: int, *, first: bool = False) -> None:
        """Send one batch; its id becomes the task id, so that Flower, log and database show the same id.

        With `first`, workers take it before all usual batches, but after earlier batches that were sent with `first`.
        """
        kwargs = BatchMessage(batch_id=batch_id).to_kwargs()
        shown = repr({"images": images})
        self._app.send_task(
            ANALYSE_TASK,
            kwargs=kwargs,
            task_id=batch_id,
            argsrepr="()",
            kwargsrepr=shown,
            ignore_result=True,
            priority=URGENT_PRIORITY if first else USUAL_PRIORITY,
        )

    def publish_forming(self, message_id: str) -> None:
        """Ask a worker process to form the series that are due."""
        self._app.send_task(
            FORM_SERIES_TASK,
            kwargs={"v": VERSION},
            task_id=message_id,
            argsrepr="()",
            kwargsrepr="{}",
            ignore_result=True,
            priority=USUAL_PRIORITY,
        )

    def ping(self) -> None:
        """Check that Redis answers. Raises RedisError or OSError within 2 s, earlier than `publish` would fail."""
        self._redis.ping()

    def report(self, report: QueueReport) -> None:
        """Write the state of the queue for Flower. Raises RedisError or OSError."""
        write_queue_report(self._redis, report)

    def messages(self) -> "Messages":
        """Return the ids of the messages in Redis. Raises RedisError or OSError."""
        return messages_in(self._redis)

    def wait_for_notification(self, seconds: float) -> None:
        """Return after a notification, or after `seconds`; while Redis is unavailable, sleep for `seconds`."""
        deadline = time.monotonic() + seconds
        try:
            pubsub = self._subscribed()
            while (remaining := deadline - time.monotonic()) > 0:
                if pubsub.get_message(ignore_subscribe_messages=True, timeout=remaining):
                    break
            while pubsub.get_message(ignore_subscribe_messages=True, timeout=0):
                continue  # one tick is enough for all notifications that came meanwhile
        except (RedisError, OSError):
            self._pubsub = None
            time.sleep(max(0.0, deadline - time.monotonic()))

    def _subscribed(self) -> PubSub:
        if self._pubsub is None:
            self._pubsub = self._redis.pubsub()
            self._pubsub.subscribe(NOTIFY_CHANNEL)
        return self._pubsub


def _with_short_timeouts(redis: Redis) -> Redis:
    """Return a client for the same Redis with short time-outs.

    It retries once, because a restart of Redis closes open connections.
    """
    pool = redis.connection_pool
    timeouts = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
    known = {**pool.connection_kwargs, **timeouts, "retry": Retry(NoBackoff(), 1)}
    return Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **known))
