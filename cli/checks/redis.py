"""Check Redis: reachable, safe, and set up so that no message is discarded or delivered too early."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from cli.checks.check import Check
from cli.checks.server_versions import check_binary, check_version
from cli.embedded.redis_server import find_redis_server
from nightread.errors import StopWork
from nightread.hosts import is_loopback
from nightread.notify import open_redis
from nightread.queue import VISIBILITY_SECONDS
from nightread.settings import Settings

_UNREACHABLE = "Start Redis, or correct NIGHTREAD_REDIS_URL."
_REFUSED = "Correct the password in NIGHTREAD_REDIS_PASSWORD or NIGHTREAD_REDIS_URL."
_TIME_LIMITS_PER_LEASE = 4
"""nightread.queue limits the time of a batch to four times lease_seconds."""
_NEARLY_FULL = 0.8


def check_redis(settings: Settings) -> Iterator[Check]:
    """Check the configured Redis, or the server program that nightread would start as embedded Redis."""
    yield from _visibility(settings)
    if settings.redis_url is None:
        try:
            yield check_binary("Redis", find_redis_server(settings))
        except StopWork as problem:
            yield Check.fail("Redis", "none found", str(problem))
        return
    try:
        with open_redis(settings.require_redis_url()) as client:
            facts = _facts(client)
    except (AuthenticationError, ResponseError):
        yield Check.fail("Redis", "refuses the password", _REFUSED)
    except (RedisError, OSError, ValueError) as error:
        yield Check.fail("Redis", f"unavailable ({type(error).__name__})", _UNREACHABLE)
    else:
        yield from check_facts(facts, settings.require_redis_url())


def check_facts(facts: Mapping[str, Any], url: str) -> Iterator[Check]:
    """Check what the server says about itself (command INFO). `url` may hold a password, which is not shown."""
    is_valkey = "valkey_version" in facts
    version = str(facts["valkey_version" if is_valkey else "redis_version"])
    found = f"{'Valkey ' if is_valkey else ''}{version}, {facts['used_memory_human']} used"
    yield check_version("Redis", version, is_valkey=is_valkey, found=found)
    if problem := _role_problem(facts):
        yield problem
    if facts.get("maxmemory_policy", "noeviction") != "noeviction":
        remedy = "Redis discards messages when its memory is full: `CONFIG SET maxmemory-policy noeviction`."
        yield Check.warn("Redis eviction", str(facts["maxmemory_policy"]), remedy)
    limit, used = int(facts.get("maxmemory", 0)), int(facts.get("used_memory", 0))
    if limit and used > _NEARLY_FULL * limit:
        remedy = "When it is full, no batch can be published: raise maxmemory, or find out who else uses this Redis."
        yield Check.warn("Redis memory", f"{used / limit:.0%} of maxmemory", remedy)
    yield from _persistence(facts)
    if not _has_password(url) and not is_loopback(urlsplit(url).hostname or "localhost"):
        remedy = "Every host that reaches Redis can stop the work: set `requirepass`, and NIGHTREAD_REDIS_PASSWORD."
        yield Check.warn("Redis password", "none", remedy)


def _facts(client: Redis) -> dict[str, Any]:
    facts: dict[str, Any] = client.info()
    return facts


def _role_problem(facts: Mapping[str, Any]) -> Check | None:
    if facts.get("role") in ("slave", "replica"):
        return Check.fail("Redis role", "a replica, which refuses to write", "Name the primary in NIGHTREAD_REDIS_URL.")
    if facts.get("cluster_enabled"):
        remedy = "Celery cannot use a cluster: name a single server in NIGHTREAD_REDIS_URL."
        return Check.fail("Redis role", "a cluster", remedy)
    return None


def _persistence(facts: Mapping[str, Any]) -> Iterator[Check]:
    failed = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if facts.get(name, "ok") != "ok"]
    if failed:
        remedy = (
            "Free space on the disk of Redis, or give its user the right to write there: Redis may refuse all messages."
        )
        yield Check.fail("Redis persistence", f"cannot write to its disk ({failed[0]})", remedy)
    elif not facts.get("aof_enabled"):
        remedy = "Messages are lost when Redis restarts, and the dispatcher has to send them again: set appendonly yes."
        yield Check.warn("Redis persistence", "no append-only file", remedy)
    else:
        yield Check.ok("Redis persistence", "append-only file")


def _visibility(settings: Settings) -> Iterator[Check]:
    longest = _TIME_LIMITS_PER_LEASE * settings.lease_seconds
    if longest > VISIBILITY_SECONDS:
        remedy = f"Set NIGHTREAD_LEASE_SECONDS to at most {VISIBILITY_SECONDS // _TIME_LIMITS_PER_LEASE}."
        found = f"a batch may take {longest:.0f} s, and is delivered again after {VISIBILITY_SECONDS} s"
        yield Check.warn("visibility timeout", found, remedy)


def _has_password(url: str) -> bool:
    return urlsplit(url).password is not None
