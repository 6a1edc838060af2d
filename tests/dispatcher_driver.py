"""Drive a dispatcher between a real database and a real Redis, step by step."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ledger_driver import LedgerDriver
from monotonic import MovableMonotonic
from redis import Redis
from sqlalchemy import func, select

from db import ledger
from db.tables import batches
from nightread.contract import BATCH_QUEUE
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import load_settings
from producer.dispatcher.dispatch import SWEEP_SECONDS, Dispatcher
from producer.dispatcher.transport import Transport


@dataclass(kw_only=True)
class DispatcherDriver:
    """A dispatcher with its database, its Redis and its clock."""

    ledger_driver: LedgerDriver
    transport: Transport
    dispatcher: Dispatcher
    redis: Redis
    monotonic: MovableMonotonic

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages in the queue, oldest first, as a worker reads them."""
        raw: list[Any] = self.redis.lrange(BATCH_QUEUE, 0, -1)
        return [json.loads(message) for message in reversed(raw)]

    def batches(self) -> list[str]:
        """Return the ids of the batches in the queue, oldest first."""
        return [message["headers"]["id"] for message in self.messages()]

    def leave_unacknowledged(self) -> None:
        """Move the one message to kombu's unacknowledged ones, as if a worker took it and died."""
        (message,) = self.redis.lrange(BATCH_QUEUE, 0, -1)
        self.redis.delete(BATCH_QUEUE)
        self.redis.hset("unacked", "tag", json.dumps([json.loads(message), "", BATCH_QUEUE]))

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
        transport = Transport(make_celery(redis_url, settings), redis)
        monotonic = MovableMonotonic()
        dispatcher = Dispatcher(
            ledger_driver.database, transport, settings, clock=ledger_driver.clock, monotonic=monotonic
        )
        yield DispatcherDriver(
            ledger_driver=ledger_driver, transport=transport, dispatcher=dispatcher, redis=redis, monotonic=monotonic
        )
