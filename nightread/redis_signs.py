"""Write and read signs of life of Flower in Redis, because Flower has no access to the database.

All times are those of the Redis server, so that the clocks of two hosts are never compared.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from redis import Redis

from nightread.contract import FLOWER_KEY

_FORGOTTEN_SECONDS = 86400
_MOST_LENGTH = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class SignOfLife:
    """The latest sign of one Flower."""

    node: str
    boot_id: str
    age_seconds: float
    stopped: bool


def leave_sign(redis: Redis, *, node: str, boot_id: str, stopped: bool = False) -> None:
    """Write a sign of life, or a sign that Flower was stopped on purpose. Raises errors of Redis."""
    seconds, _ = redis.time()
    redis.hset(FLOWER_KEY, node, json.dumps({"boot": boot_id, "at": seconds, "stopped": stopped}))


def read_signs(redis: Redis) -> Iterator[SignOfLife]:
    """Yield the latest sign of each Flower; remove those older than a day. Raises errors of Redis."""
    seconds, _ = redis.time()
    for node, text in redis.hgetall(FLOWER_KEY).items():
        sign = _sign(node, text, seconds)
        if sign is None or sign.age_seconds > _FORGOTTEN_SECONDS:
            redis.hdel(FLOWER_KEY, node)
        else:
            yield sign


def _sign(node: bytes | str, text: bytes | str, now: int) -> SignOfLife | None:
    """Return the sign; None if the entry is invalid, because another program may have written it."""
    try:
        values = json.loads(text)
        return SignOfLife(
            node=(node.decode() if isinstance(node, bytes) else node)[:_MOST_LENGTH],
            boot_id=str(values["boot"])[:64],
            age_seconds=max(0.0, now - float(values["at"])),
            stopped=bool(values["stopped"]),
        )
    except (ValueError, LookupError, TypeError):
        return None
