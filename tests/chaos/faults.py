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

from chaos.system import LEASE_SECONDS, ChaosSystem
from chaos.waiting import wait_until

_STOPPED_SECONDS = (LEASE_SECONDS + 1, LEASE_SECONDS + 5)
_AWAY_SECONDS = (2.0, 6.0)
_SOMEBODY_SECONDS = 60.0
_PARTS = {"worker": "the worker", "dispatch": "the dispatcher", "watch": "the producer"}
_BETWEEN = {
    "kill between commit and publish": "db.ledger:form_batches:after",
    "kill between publish and the next step": "producer.dispatcher.transport:Transport.publish:after",
    "kill between claim and analysis": "db.ledger:claim:after",
    "kill between record and acknowledgement": "db.ledger:record:after",
}

Inject = Callable[[ChaosSystem, random.Random], None]


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """One kind of thing that goes wrong."""

    name: str
    inject: Inject
    """Returns at the moment of healing; at once where nothing but a kill was done."""


def kinds(chaos_system: ChaosSystem) -> list[FaultKind]:
    """Those that this site can suffer."""
    faults: dict[str, Inject] = {
        "SIGKILL of a worker child": _kill_child,
        "SIGSTOP of a worker child": _stop_child,
        **{f"SIGKILL of {name}": partial(_kill, part=part) for part, name in _PARTS.items()},
        **{f"SIGSTOP of {name}": partial(_stop, part=part) for part, name in _PARTS.items()},
        "Redis killed, with AOF": partial(_kill_redis, forget=False),
        "Redis killed, without AOF": partial(_kill_redis, forget=True),
        "FLUSHALL": lambda chaos_system, _rng: chaos_system.redis.flush(),
        **{name: partial(_die_at, step=step) for name, step in _BETWEEN.items()},
    }
    if chaos_system.postgres is not None:
        faults["PostgreSQL stopped, fast"] = partial(_stop_postgres, how=signal.SIGINT)
        faults["PostgreSQL stopped, immediate"] = partial(_stop_postgres, how=signal.SIGQUIT)
    else:
        faults["SQLite locked"] = _lock_sqlite
    if chaos_system.disk.why_not_small is None:
        faults["disk full"] = _fill_disk
    return [FaultKind(name=name, inject=inject) for name, inject in faults.items()]


def drawn(faults: Sequence[FaultKind], number: int, rng: random.Random) -> list[FaultKind]:
    """So many, no kind more than once more often than another, in random order."""
    whole, rest = divmod(number, len(faults))
    chosen = [*faults] * whole + rng.sample(faults, rest)
    rng.shuffle(chosen)
    return chosen


def _kill_child(chaos_system: ChaosSystem, rng: random.Random) -> None:
    _child(chaos_system, rng).kill()


def _stop_child(chaos_system: ChaosSystem, rng: random.Random) -> None:
    _pause(_child(chaos_system, rng), rng)


def _kill(chaos_system: ChaosSystem, _rng: random.Random, *, part: str) -> None:
    _process(chaos_system, part).kill()


def _stop(chaos_system: ChaosSystem, rng: random.Random, *, part: str) -> None:
    _pause(_process(chaos_system, part), rng)


def _pause(process: psutil.Process, rng: random.Random) -> None:
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        _last(rng, _STOPPED_SECONDS)
        process.resume()


def _kill_redis(chaos_system: ChaosSystem, rng: random.Random, *, forget: bool) -> None:
    chaos_system.redis.kept.end(signal.SIGKILL)
    if forget:
        chaos_system.redis.forget()
    _last(rng, _AWAY_SECONDS)
    chaos_system.redis.kept.keep()
    chaos_system.redis.wait_until_it_answers()


def _stop_postgres(chaos_system: ChaosSystem, rng: random.Random, *, how: signal.Signals) -> None:
    assert chaos_system.postgres is not None
    chaos_system.postgres.kept.end(how)
    _last(rng, _AWAY_SECONDS)
    chaos_system.postgres.kept.keep()
    chaos_system.postgres.wait_until_it_answers()


def _lock_sqlite(chaos_system: ChaosSystem, rng: random.Random) -> None:
    """As a backup tool or a person with a shell does."""
    with closing(
        sqlite3.connect(chaos_system.state / "nightread.sqlite3", timeout=30, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        _last(rng, _STOPPED_SECONDS)
        connection.execute("ROLLBACK")


def _fill_disk(chaos_system: ChaosSystem, rng: random.Random) -> None:
    chaos_system.disk.fill()
    try:
        _last(rng, _AWAY_SECONDS)
    finally:
        chaos_system.disk.empty()
    if chaos_system.postgres is not None:  # it ends itself where it cannot write its log, and is started again
        chaos_system.postgres.wait_until_it_answers()


def _die_at(chaos_system: ChaosSystem, _rng: random.Random, *, step: str) -> None:
    token = chaos_system.arm(step)
    wait_until(lambda: not token.exists(), seconds=_SOMEBODY_SECONDS, what=f"somebody dies at {step}")


def _child(chaos_system: ChaosSystem, rng: random.Random) -> psutil.Process:
    wait_until(lambda: bool(chaos_system.worker_children), seconds=_SOMEBODY_SECONDS, what="the worker has processes")
    return rng.choice(chaos_system.worker_children)


def _process(chaos_system: ChaosSystem, part: str) -> psutil.Process:
    kept = chaos_system.kept[part]
    wait_until(lambda: kept.is_alive, seconds=_SOMEBODY_SECONDS, what=f"{part} runs")
    assert kept.process is not None
    return psutil.Process(kept.process.pid)


def _last(rng: random.Random, seconds: tuple[float, float]) -> None:
    """So long the fault goes on: it is what happens, not a wait for something."""
    time.sleep(rng.uniform(*seconds))
