"""A worker that went deaf is found out; one that is busy, or has nothing to hear, is left in peace."""

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
    """A batch that was published long ago and that nobody has taken."""
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    Transport(make_celery(redis_url, load_settings(None)), redis).publish(batch.id, 1)
    ledger_driver.clock.advance(seconds=STALLED_SECONDS + 1)
    return ledger_driver


def _restarts(
    ledger_driver: LedgerDriver, redis: Redis, number: int = 2, node: str = "w1", at_work: float = 1e9
) -> int:
    """How often the watchdog of `node` would have ended its process."""
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


def test_a_deaf_worker_ends_at_the_second_look(stalled: LedgerDriver, redis: Redis) -> None:
    """One check may meet a moment."""
    assert _restarts(stalled, redis, number=1) == 0
    assert _restarts(stalled, redis, number=2) == 1


def test_a_worker_whose_networks_are_still_loading_is_not_deaf(stalled: LedgerDriver, redis: Redis) -> None:
    """After an outage batches are old at once; loading TensorFlow takes its time."""
    assert _restarts(stalled, redis, at_work=0) == 0
    assert _restarts(stalled, redis, at_work=STALLED_SECONDS - 1) == 0


def test_a_busy_worker_is_not_deaf(stalled: LedgerDriver, redis: Redis, make_arrivals: MakeArrivals) -> None:
    """It will take the next batch when it is done with this one; an idle neighbour should have taken it."""
    stalled.register(make_arrivals(1))
    (batch,) = stalled.form()
    stalled.claim(batch)
    assert _restarts(stalled, redis) == 0
    assert _restarts(stalled, redis, node="w2") == 1


def test_a_message_that_is_gone_is_the_dispatchers_business(stalled: LedgerDriver, redis: Redis) -> None:
    """There is nothing to hear."""
    redis.flushdb()
    assert _restarts(stalled, redis) == 0


def test_a_young_batch_is_on_its_way(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, redis: Redis) -> None:
    """Workers need a moment."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.form()
    redis.lpush("nightread.batches", "{}")
    assert _restarts(ledger_driver, redis) == 0


def test_a_redis_that_is_away_is_no_reason(stalled: LedgerDriver) -> None:
    """It reconnects by itself."""
    with closing(Redis(port=1)) as nobody:
        assert _restarts(stalled, nobody) == 0
