"""What is done to the system, and how it is undone."""

import random
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

import psutil

from chaos.patience import wait_until
from chaos.site import LEASE_SECONDS, Site

_STOPPED_SECONDS = (LEASE_SECONDS + 1, LEASE_SECONDS + 5)
_AWAY_SECONDS = (2.0, 6.0)
_SOMEBODY_SECONDS = 60.0
_PARTS = {"worker": "the worker", "dispatch": "the dispatcher", "watch": "the producer"}
_BETWEEN = {
    "kill between commit and publish": "db.ledger:form_batches:after",
    "kill between publish and the next step": "producer.transport:Transport.publish:after",
    "kill between claim and analysis": "db.ledger:claim:after",
    "kill between record and acknowledgement": "db.ledger:record:after",
}

Strike = Callable[[Site, random.Random], None]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One kind of thing that goes wrong."""

    name: str
    strike: Strike
    """Returns at the moment of healing; at once where nothing but a kill was done."""


def kinds(site: Site) -> list[Fault]:
    """Those that this site can suffer."""
    faults: dict[str, Strike] = {
        "SIGKILL of a worker child": _kill_child,
        "SIGSTOP of a worker child": _stop_child,
        **{f"SIGKILL of {name}": partial(_kill, part=part) for part, name in _PARTS.items()},
        **{f"SIGSTOP of {name}": partial(_stop, part=part) for part, name in _PARTS.items()},
        "Redis killed, with AOF": partial(_kill_redis, forget=False),
        "Redis killed, without AOF": partial(_kill_redis, forget=True),
        "FLUSHALL": lambda site, _rng: site.redis.flush(),
        **{name: partial(_die_at, step=step) for name, step in _BETWEEN.items()},
    }
    if site.postgres is not None:
        faults["PostgreSQL stopped, fast"] = partial(_stop_postgres, how=signal.SIGINT)
        faults["PostgreSQL stopped, immediate"] = partial(_stop_postgres, how=signal.SIGQUIT)
    else:
        faults["SQLite locked"] = _lock_sqlite
    if site.disk.why_not_small is None:
        faults["disk full"] = _fill_disk
    return [Fault(name=name, strike=strike) for name, strike in faults.items()]


def drawn(faults: Sequence[Fault], number: int, rng: random.Random) -> list[Fault]:
    """So many, no kind more than once more often than another, in random order."""
    whole, rest = divmod(number, len(faults))
    chosen = [*faults] * whole + rng.sample(faults, rest)
    rng.shuffle(chosen)
    return chosen


def _kill_child(site: Site, rng: random.Random) -> None:
    _child(site, rng).kill()


def _stop_child(site: Site, rng: random.Random) -> None:
    _pause(_child(site, rng), rng)


def _kill(site: Site, _rng: random.Random, *, part: str) -> None:
    _process(site, part).kill()


def _stop(site: Site, rng: random.Random, *, part: str) -> None:
    _pause(_process(site, part), rng)


def _pause(process: psutil.Process, rng: random.Random) -> None:
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        _last(rng, _STOPPED_SECONDS)
        process.resume()


def _kill_redis(site: Site, rng: random.Random, *, forget: bool) -> None:
    site.redis.kept.end(signal.SIGKILL)
    if forget:
        site.redis.forget()
    _last(rng, _AWAY_SECONDS)
    site.redis.kept.keep()
    site.redis.wait_until_it_answers()


def _stop_postgres(site: Site, rng: random.Random, *, how: signal.Signals) -> None:
    assert site.postgres is not None
    site.postgres.kept.end(how)
    _last(rng, _AWAY_SECONDS)
    site.postgres.kept.keep()
    site.postgres.wait_until_it_answers()


def _lock_sqlite(site: Site, rng: random.Random) -> None:
    """As a backup tool or a person with a shell does."""
    with closing(sqlite3.connect(site.state / "nightread.sqlite3", timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        _last(rng, _STOPPED_SECONDS)
        connection.execute("ROLLBACK")


def _fill_disk(site: Site, rng: random.Random) -> None:
    site.disk.fill()
    try:
        _last(rng, _AWAY_SECONDS)
    finally:
        site.disk.empty()
    if site.postgres is not None:  # it ends itself where it cannot write its log, and is started again
        site.postgres.wait_until_it_answers()


def _die_at(site: Site, _rng: random.Random, *, step: str) -> None:
    token = site.arm(step)
    wait_until(lambda: not token.exists(), seconds=_SOMEBODY_SECONDS, what=f"somebody dies at {step}")


def _child(site: Site, rng: random.Random) -> psutil.Process:
    wait_until(lambda: bool(site.worker_children), seconds=_SOMEBODY_SECONDS, what="the worker has processes")
    return rng.choice(site.worker_children)


def _process(site: Site, part: str) -> psutil.Process:
    kept = site.kept[part]
    wait_until(lambda: kept.is_alive, seconds=_SOMEBODY_SECONDS, what=f"{part} runs")
    assert kept.process is not None
    return psutil.Process(kept.process.pid)


def _last(rng: random.Random, seconds: tuple[float, float]) -> None:
    """So long the fault goes on: it is what happens, not a wait for something."""
    time.sleep(rng.uniform(*seconds))
