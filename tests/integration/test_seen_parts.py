"""The dispatcher looks after Redis and Flower, which have no access to the database."""

from collections.abc import Iterator

import pytest
from redis import Redis

from db.ledger import PartKind
from nightread.contract import FLOWER_KEY
from nightread.redis_signs import leave_sign, read_signs
from producer.dispatcher.seen_parts import SeenParts

pytestmark = pytest.mark.servers


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with Redis.from_url(redis_url) as client:
        yield client


def test_redis_and_flower_are_seen(redis: Redis) -> None:
    """Redis has another id after each start; Flower that was stopped on purpose says so."""
    assert [beat.part for beat in SeenParts(redis).look()] == [PartKind.REDIS]
    leave_sign(redis, node="host-5555", boot_id="f")
    ours, flower = SeenParts(redis).look()
    assert ours.boot_id == redis.info("server")["run_id"]
    assert (flower.part, flower.node, flower.boot_id, flower.stopped) == (PartKind.FLOWER, "host-5555", "f", False)
    leave_sign(redis, node="host-5555", boot_id="f", stopped=True)
    assert [beat.stopped for beat in SeenParts(redis).look()] == [False, True]


def test_an_old_sign_is_no_heartbeat(redis: Redis) -> None:
    """Its age is told by the clock of Redis; what is older than a day, or no sign, is removed."""
    now = redis.time()[0]
    for node, age in (("fresh", 25), ("old", 27), ("ancient", 90_000)):
        redis.hset(FLOWER_KEY, node, f'{{"boot": "1", "at": {now - age}, "stopped": false}}')
    redis.hset(FLOWER_KEY, "foreign", "no JSON")
    assert {beat.node for beat in SeenParts(redis).look()} <= {"redis", "fresh"}
    assert {sign.node for sign in read_signs(redis)} == {"fresh", "old"}
    assert redis.hlen(FLOWER_KEY) == 2


def test_nothing_is_seen_while_redis_is_away() -> None:
    """The heartbeat of the dispatcher itself is sent all the same."""
    with Redis(host="127.0.0.1", port=1, socket_connect_timeout=1) as away:
        assert SeenParts(away).look() == []


def test_a_user_who_may_not_ask_for_the_id_sees_redis_all_the_same(redis: Redis, redis_url: str) -> None:
    """A site may forbid the command INFO."""
    redis.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all", "-info")
    try:
        with Redis.from_url(redis_url, username="limited", password="x") as limited:
            assert [(beat.part, beat.boot_id) for beat in SeenParts(limited).look()] == [(PartKind.REDIS, "")]
    finally:
        redis.execute_command("ACL", "DELUSER", "limited")
