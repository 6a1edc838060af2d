"""The API knows when messages of workers may be lost."""

import asyncio

from redis import Redis

from api.redis_messages import RedisMessages
from nightread.contract import OUTCOMES_CHANNEL


async def subscribed_twice(redis_url: str, redis: Redis) -> list[str]:
    """Cut the connection once, and return what the API heard."""
    heard: list[str] = []
    subscribed = asyncio.Semaphore(0)
    outcome = asyncio.Event()

    def on_outcomes(batch_id: str) -> None:
        heard.append(batch_id)
        outcome.set()

    messages = RedisMessages(redis_url, on_outcomes, subscribed.release)
    listening = asyncio.create_task(messages.listen())
    async with asyncio.timeout(30):
        await subscribed.acquire()
        redis.client_kill_filter(_type="pubsub")
        await subscribed.acquire()
        redis.publish(OUTCOMES_CHANNEL, "batch-1")
        await outcome.wait()
    listening.cancel()
    return heard


def test_each_subscription_is_told(redis_url: str) -> None:
    """What was published between two of them is lost, and clients of events must learn it."""
    with Redis.from_url(redis_url) as redis:
        assert asyncio.run(subscribed_twice(redis_url, redis)) == ["batch-1"]
