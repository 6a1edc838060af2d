"""Drive a dispatcher between a real database and a real Redis, step by step."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from ledger_driver import LedgerDriver
from monotonic import MovableMonotonic
from redis import Redis
from sqlalchemy import func, select

from db import ledger
from db.tables import batches
from nightread.contract import BATCH_LISTS, BATCH_QUEUE
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import load_settings
from producer.dispatcher.dispatch import SWEEP_SECONDS, Dispatcher
from producer.dispatcher.transport import Transport


@dataclass(kw_only=True)
class DispatcherDriver:
    """A dispatcher with its database, its Redis and its clock."""

    ledger_driver: LedgerDriver
    broker: Celery
    transport: Transport
    dispatcher: Dispatcher
    redis: Redis
    monotonic: MovableMonotonic

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages in the queue in the order in which workers take them."""
        return [json.loads(message) for name in BATCH_LISTS for message in reversed(self._list(name))]

    def batches(self) -> list[str]:
        """Return the ids of the batches in the queue in the order in which workers take them."""
        return [message["headers"]["id"] for message in self.messages()]

    def take_message(self) -> None:
        """Take the next message from the queue, as a worker does."""
        name = next(name for name in BATCH_LISTS if self.redis.llen(name))
        self.redis.rpop(name)

    def lose_messages(self) -> None:
        """Delete all messages of the queue, as a Redis does that loses its data."""
        self.redis.delete(*BATCH_LISTS)

    def leave_unacknowledged(self) -> None:
        """Move the one message to kombu's unacknowledged ones, as if a worker took it and died."""
        (message,) = self.messages()
        self.lose_messages()
        self.redis.hset("unacked", "tag", json.dumps([message, "", BATCH_QUEUE]))

    def _list(self, name: str) -> list[Any]:
        found: list[Any] = self.redis.lrange(name, 0, -1)
        return found

    def batches_formed(self) -> int:
        """Return the number of batches that were ever formed."""
        with self.ledger_driver.database.read() as connection:
            return connection.execute(select(func.count()).select_from(batches)).scalar_one()

    def heartbeat(self, slots: int, starting: int = 0) -> None:
        """Record the heartbeat of a living worker."""
        process = self.ledger_driver.process
        known = {"node": process.node, "boot_id": process.boot_id, "device": "CPU", "release": "test"}
        ledger.heartbeat(
            self.ledger_driver.database, slots=slots, starting=starting, now=self.ledger_driver.clock(), **known
        )

    def dispatch_all(self) -> None:
        """Run the dispatcher until it has nothing more to publish."""
        while self.dispatcher.tick() == 0:
            continue

    def sweep(self) -> None:
        """Advance the clock to the next sweep, and run it."""
        self.monotonic.advance(SWEEP_SECONDS)
        self.dispatcher.tick()


@contextmanager
def open_dispatcher(ledger_driver: LedgerDriver, redis_url: str, **knobs: object) -> Iterator[DispatcherDriver]:
    """Open a dispatcher with batches of four images; `knobs` are other settings."""
    settings = load_settings(None, **{"batch_images": 4, "batch_wait_seconds": 0.2, "poll_seconds": 0.5, **knobs})
    with open_redis(redis_url) as redis:
        broker = make_celery(redis_url, settings)
        transport = Transport(broker, redis)
        monotonic = MovableMonotonic()
        dispatcher = Dispatcher(
            ledger_driver.database, transport, settings, clock=ledger_driver.clock, monotonic=monotonic
        )
        yield DispatcherDriver(
            ledger_driver=ledger_driver,
            broker=broker,
            transport=transport,
            dispatcher=dispatcher,
            redis=redis,
            monotonic=monotonic,
        )
