"""Redis as the dispatcher sees it: publish a batch, be woken, see whether anything is left."""

import json
import time
from typing import Any, NamedTuple

from celery import Celery
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import RedisError
from redis.retry import Retry

from nightread.contract import ANALYSE_TASK, BATCH_QUEUE, NOTIFY_CHANNEL, BatchMessage

_UNACKED = "unacked"  # kombu's hash of delivered, unacknowledged messages
_PATIENCE_SECONDS = 1.0
"""Redis answers in a millisecond or is away: one that hangs must not hold up the sweeps."""


class Messages(NamedTuple):
    """Ids of tasks; those of ours are ids of batches."""

    waiting: list[str]
    delivered: list[str]
    """To a worker that has not acknowledged them, be it alive or dead."""


def messages_in(redis: Redis) -> Messages:
    """The queue, which is kept short, and what was delivered of it; one round trip."""
    with redis.pipeline() as both:
        both.lrange(BATCH_QUEUE, 0, -1)
        both.hvals(_UNACKED)
        waiting, delivered = both.execute()
    return Messages([_task_id(text) for text in waiting], [_task_id(text, delivered=True) for text in delivered])


def _task_id(text: bytes, *, delivered: bool = False) -> str:
    """Of a message; other applications may use the same Redis, and theirs may look like anything."""
    try:
        message: Any = json.loads(text)
        return str((message[0] if delivered else message)["headers"]["id"])
    except (ValueError, LookupError, TypeError):
        return "unreadable"


class Transport:
    """The queue and the wake-up channel."""

    def __init__(self, app: Celery, redis: Redis) -> None:
        self._app = app
        self._redis = _impatient(redis)
        self._pubsub: PubSub | None = None

    def publish(self, batch_id: str, images: int) -> None:
        """Send one batch; its id is the task's id, so that Flower, log and ledger name it alike."""
        kwargs = BatchMessage(batch_id=batch_id).to_kwargs()
        shown = repr({"images": images})
        self._app.send_task(
            ANALYSE_TASK, kwargs=kwargs, task_id=batch_id, argsrepr="()", kwargsrepr=shown, ignore_result=True
        )

    def ping(self) -> None:
        """Raises RedisError or OSError, within 2 s, where Redis does not answer: to publish would take longer."""
        self._redis.ping()

    def messages(self) -> "Messages":
        """What Redis holds at this moment. Raises RedisError or OSError."""
        return messages_in(self._redis)

    def wait_for_notification(self, seconds: float) -> None:
        """Return when somebody wakes the dispatcher, or after `seconds`."""
        deadline = time.monotonic() + seconds
        try:
            pubsub = self._subscribed()
            while (remaining := deadline - time.monotonic()) > 0:
                if pubsub.get_message(ignore_subscribe_messages=True, timeout=remaining):
                    break
            while pubsub.get_message(ignore_subscribe_messages=True, timeout=0):
                continue  # one look serves all who woke us meanwhile
        except (RedisError, OSError):
            self._pubsub = None
            time.sleep(max(0.0, deadline - time.monotonic()))  # Redis is away: poll

    def _subscribed(self) -> PubSub:
        if self._pubsub is None:
            self._pubsub = self._redis.pubsub()
            self._pubsub.subscribe(NOTIFY_CHANNEL)
        return self._pubsub


def _impatient(redis: Redis) -> Redis:
    """The same Redis, tried once more at once for the sake of connections that a restart cut, and not again."""
    pool = redis.connection_pool
    patience = {"socket_timeout": _PATIENCE_SECONDS, "socket_connect_timeout": _PATIENCE_SECONDS}
    known = {**pool.connection_kwargs, **patience, "retry": Retry(NoBackoff(), 1)}
    return Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **known))
