"""Detect a worker that receives no messages; a busy worker and an empty queue are no reason to end."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from ledger_driver import LedgerDriver
from redis import Redis

from db.ledger import Arrival
from nightread.queue import make_celery
from nightread.settings import load_settings
from producer.dispatcher.transport import Transport
from worker.lifecycle.watchdog import STALLED_SECONDS, Watchdog

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with closing(Redis.from_url(redis_url)) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def stalled(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, redis_url: str, redis: Redis) -> LedgerDriver:
    """Return a database with a batch that was published more than 60 s ago and that no worker has claimed."""
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    Transport(make_celery(redis_url, load_settings(None)), redis).publish(batch.id, 1)
    ledger_driver.clock.advance(seconds=STALLED_SECONDS + 1)
    return ledger_driver


def _count_exits(
    ledger_driver: LedgerDriver, redis: Redis, number: int = 2, node: str = "w1", at_work: float = 1e9
) -> int:
    """Return how often the watchdog of `node` would have ended its process in `number` checks."""
    ended: list[bool] = []
    watchdog = Watchdog(
        ledger_driver.database,
        redis,
        node=node,
        seconds_at_work=lambda: at_work,
        stop_process=lambda: ended.append(True),
    )
    for _ in range(number):
        watchdog.check(ledger_driver.clock())
    return len(ended)


def test_a_stalled_worker_ends_at_the_second_check(stalled: LedgerDriver, redis: Redis) -> None:
    """A single check may find a state that lasts only a moment."""
    assert _count_exits(stalled, redis, number=1) == 0
    assert _count_exits(stalled, redis, number=2) == 1


def test_a_worker_whose_networks_are_still_loading_is_not_stalled(stalled: LedgerDriver, redis: Redis) -> None:
    """After an outage, batches are old at once, and loading TensorFlow takes seconds."""
    assert _count_exits(stalled, redis, at_work=0) == 0
    assert _count_exits(stalled, redis, at_work=STALLED_SECONDS - 1) == 0


def test_a_busy_worker_is_not_stalled(stalled: LedgerDriver, redis: Redis, make_arrivals: MakeArrivals) -> None:
    """It takes the next batch after this one. An idle neighbour should have taken it."""
    stalled.register(make_arrivals(1))
    (batch,) = stalled.form()
    stalled.claim(batch)
    assert _count_exits(stalled, redis) == 0
    assert _count_exits(stalled, redis, node="w2") == 1


def test_a_lost_message_is_no_reason(stalled: LedgerDriver, redis: Redis) -> None:
    """The queue is empty; the dispatcher publishes the batch again."""
    redis.flushdb()
    assert _count_exits(stalled, redis) == 0


def test_a_recent_batch_is_no_reason(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, redis: Redis) -> None:
    """A worker needs a moment to receive a message."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.form()
    redis.lpush("nightread.batches", "{}")
    assert _count_exits(ledger_driver, redis) == 0


@pytest.mark.slow
def test_an_unavailable_redis_is_no_reason(stalled: LedgerDriver) -> None:
    """The worker reconnects by itself."""
    with closing(Redis(port=1)) as unavailable:
        assert _count_exits(stalled, unavailable) == 0
