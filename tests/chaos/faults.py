"""What is done to the system, and how it is undone."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .system import LEASE_SECONDS, System

BEYOND_LEASE_SECONDS = LEASE_SECONDS + 3
_AWAY_SECONDS = 5.0
_POINTS = {
    "killed between commit and publish": "db.ledger:form_batches:after",
    "killed between publish and anything else": "producer.transport:Transport.publish:after",
    "killed between claim and analysis": "db.ledger:claim:after",
    "killed between record and acknowledgement": "db.ledger:record:after",
}

Wait = Callable[[float], None]
"""Lets the rest of the system, and the arrivals, go on for so many seconds."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong. `strike` returns once it is over."""

    name: str
    strike: Callable[[System, random.Random, Wait], object]


def faults_for(system: System) -> list[Fault]:
    """Those that this system can suffer."""
    faults = [
        *(Fault(name=f"{part} killed", strike=_kill(part)) for part in system.parts),
        *(Fault(name=f"{part} stopped beyond the lease", strike=_freeze(part)) for part in system.parts),
        Fault(name="worker child killed", strike=_kill_child),
        Fault(name="worker child stopped beyond the lease", strike=_freeze_child),
        Fault(name="Redis killed, with its file", strike=_redis_killed(forget=False)),
        Fault(name="Redis killed, without its file", strike=_redis_killed(forget=True)),
        Fault(name="FLUSHALL", strike=lambda system, _rng, _wait: system.redis.flush()),
        *(Fault(name=name, strike=_armed(point)) for name, point in _POINTS.items()),
    ]
    if system.kind == "postgresql":
        faults.append(Fault(name="PostgreSQL stopped (fast)", strike=_postgres_away(signal.SIGINT)))
        faults.append(Fault(name="PostgreSQL stopped (immediate)", strike=_postgres_away(signal.SIGQUIT)))
    else:
        faults.append(Fault(name="SQLite locked", strike=_during(System.locked)))
    if system.has_small_disk:
        faults.append(Fault(name="disk full", strike=_during(System.full_disk)))
    return faults


def drawn(faults: list[Fault], number: int, rng: random.Random) -> list[Fault]:
    """So many, each kind as often as the others, in random order."""
    whole, rest = divmod(number, len(faults))
    chosen = faults * whole + rng.sample(faults, rest)
    rng.shuffle(chosen)
    return chosen


def _kill(part: str) -> Callable[[System, random.Random, Wait], object]:
    return lambda system, _rng, _wait: system.parts[part].send(signal.SIGKILL)


def _freeze(part: str) -> Callable[[System, random.Random, Wait], None]:
    def strike(system: System, _rng: random.Random, wait: Wait) -> None:
        system.parts[part].send(signal.SIGSTOP)
        wait(BEYOND_LEASE_SECONDS)
        system.parts[part].send(signal.SIGCONT)

    return strike


def _kill_child(system: System, rng: random.Random, _wait: Wait) -> None:
    child = system.random_child(rng)
    if child is not None:
        child.kill()


def _freeze_child(system: System, rng: random.Random, wait: Wait) -> None:
    child = system.random_child(rng)
    if child is not None:
        child.suspend()
        wait(BEYOND_LEASE_SECONDS)
        if child.is_running():
            child.resume()


def _redis_killed(*, forget: bool) -> Callable[[System, random.Random, Wait], None]:
    def strike(system: System, _rng: random.Random, wait: Wait) -> None:
        system.redis.kill(forget=forget)
        wait(1.0)
        system.redis.start()

    return strike


def _postgres_away(how: signal.Signals) -> Callable[[System, random.Random, Wait], None]:
    def strike(system: System, _rng: random.Random, wait: Wait) -> None:
        assert system.postgres is not None
        system.postgres.stop(how)
        wait(_AWAY_SECONDS)
        system.postgres.start()

    return strike


def _during(trouble: Callable[[System], AbstractContextManager[None]]) -> Callable[[System, random.Random, Wait], None]:
    def strike(system: System, _rng: random.Random, wait: Wait) -> None:
        with trouble(system):
            wait(_AWAY_SECONDS + 3)

    return strike


def _armed(point: str) -> Callable[[System, random.Random, Wait], None]:
    """The next process that comes by dies there."""

    def strike(system: System, _rng: random.Random, wait: Wait) -> None:
        token = system.tokens / point
        token.touch()
        deadline = time.monotonic() + 60
        while token.exists() and time.monotonic() < deadline:
            wait(0.2)
        token.unlink(missing_ok=True)

    return strike
