"""A dispatcher between a real ledger and a real Redis, driven by hand."""

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
    """A dispatcher and what it writes to."""

    ledger_driver: LedgerDriver
    transport: Transport
    dispatcher: Dispatcher
    redis: Redis
    monotonic: MovableMonotonic

    def messages(self) -> list[dict[str, Any]]:
        """What waits in Redis, oldest first, as a worker reads it."""
        raw: list[Any] = self.redis.lrange(BATCH_QUEUE, 0, -1)
        return [json.loads(message) for message in reversed(raw)]

    def batches(self) -> list[str]:
        """Ids of the batches that wait in Redis."""
        return [message["headers"]["id"] for message in self.messages()]

    def leave_unacknowledged(self) -> None:
        """The one message goes to a worker that will never acknowledge it: kombu keeps it so."""
        (message,) = self.redis.lrange(BATCH_QUEUE, 0, -1)
        self.redis.delete(BATCH_QUEUE)
        self.redis.hset("unacked", "tag", json.dumps([json.loads(message), "", BATCH_QUEUE]))

    def formed(self) -> int:
        """How many batches there ever were."""
        with self.ledger_driver.database.read() as connection:
            return connection.execute(select(func.count()).select_from(batches)).scalar_one()

    def worker(self, slots: int, starting: int = 0) -> None:
        """A worker that is alive."""
        process = self.ledger_driver.process
        known = {"node": process.node, "boot_id": process.boot_id, "device": "CPU", "release": "test"}
        ledger.heartbeat(
            self.ledger_driver.database, slots=slots, starting=starting, now=self.ledger_driver.clock(), **known
        )

    def dispatch_all(self) -> None:
        """Until there is no more to publish."""
        while self.dispatcher.tick() == 0:
            continue

    def sweep(self) -> None:
        """Let the time until the next sweep pass, and sweep."""
        self.monotonic.advance(SWEEP_SECONDS)
        self.dispatcher.tick()


@contextmanager
def opened(ledger_driver: LedgerDriver, redis_url: str, **knobs: object) -> Iterator[DispatcherDriver]:
    """A dispatcher with small batches."""
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
