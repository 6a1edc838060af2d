"""Inject faults into the system, and end them."""

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
_DOWN_SECONDS = (2.0, 6.0)
_WAIT_SECONDS = 60.0
_PROGRAMS = {"worker": "the worker", "dispatch": "the dispatcher", "watch": "the producer"}
_BETWEEN = {
    "kill between commit and publish": "db.ledger:form_batches:after",
    "kill between publish and the next step": "producer.dispatcher.transport:Transport.publish:after",
    "kill between claim and analysis": "db.ledger:claim:after",
    "kill between record and acknowledgement": "db.ledger:record:after",
}

Inject = Callable[[ChaosSystem, random.Random], None]


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """One kind of fault."""

    name: str
    inject: Inject
    """The function that injects the fault; it returns when the fault ends, after a kill at once."""


def fault_kinds(system: ChaosSystem) -> list[FaultKind]:
    """Return the kinds of fault that are possible with this database and this disk."""
    faults: dict[str, Inject] = {
        "SIGKILL of a worker child": _kill_child,
        "SIGSTOP of a worker child": _stop_child,
        **{f"SIGKILL of {name}": partial(_kill, program=program) for program, name in _PROGRAMS.items()},
        **{f"SIGSTOP of {name}": partial(_stop, program=program) for program, name in _PROGRAMS.items()},
        "Redis killed, with AOF": partial(_kill_redis, delete_files=False),
        "Redis killed, without AOF": partial(_kill_redis, delete_files=True),
        "FLUSHALL": lambda system, _rng: system.redis.flush(),
        **{name: partial(_die_at, step=step) for name, step in _BETWEEN.items()},
    }
    if system.postgres is not None:
        faults["PostgreSQL stopped, fast"] = partial(_stop_postgres, how=signal.SIGINT)
        faults["PostgreSQL stopped, immediate"] = partial(_stop_postgres, how=signal.SIGQUIT)
    else:
        faults["SQLite locked"] = _lock_sqlite
    if system.disk.mount_error is None:
        faults["disk full"] = _fill_disk
    return [FaultKind(name=name, inject=inject) for name, inject in faults.items()]


def choose_faults(faults: Sequence[FaultKind], number: int, rng: random.Random) -> list[FaultKind]:
    """Return `number` faults in random order; the counts of two kinds differ by at most one."""
    whole, rest = divmod(number, len(faults))
    chosen = [*faults] * whole + rng.sample(faults, rest)
    rng.shuffle(chosen)
    return chosen


def _kill_child(system: ChaosSystem, rng: random.Random) -> None:
    _child(system, rng).kill()


def _stop_child(system: ChaosSystem, rng: random.Random) -> None:
    _pause(_child(system, rng), rng)


def _kill(system: ChaosSystem, _rng: random.Random, *, program: str) -> None:
    _process(system, program).kill()


def _stop(system: ChaosSystem, rng: random.Random, *, program: str) -> None:
    _pause(_process(system, program), rng)


def _pause(process: psutil.Process, rng: random.Random) -> None:
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        _hold_for(rng, _STOPPED_SECONDS)
        process.resume()


def _kill_redis(system: ChaosSystem, rng: random.Random, *, delete_files: bool) -> None:
    system.redis.supervised.stop(signal.SIGKILL)
    if delete_files:
        system.redis.delete_files()
    _hold_for(rng, _DOWN_SECONDS)
    system.redis.supervised.start()
    system.redis.wait_until_ready()


def _stop_postgres(system: ChaosSystem, rng: random.Random, *, how: signal.Signals) -> None:
    assert system.postgres is not None
    system.postgres.supervised.stop(how)
    _hold_for(rng, _DOWN_SECONDS)
    system.postgres.supervised.start()
    system.postgres.wait_until_ready()


def _lock_sqlite(system: ChaosSystem, rng: random.Random) -> None:
    """Lock the database file, as a backup tool or a person with a shell does."""
    with closing(sqlite3.connect(system.state / "nightread.sqlite3", timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        _hold_for(rng, _STOPPED_SECONDS)
        connection.execute("ROLLBACK")


def _fill_disk(system: ChaosSystem, rng: random.Random) -> None:
    system.disk.fill()
    try:
        _hold_for(rng, _DOWN_SECONDS)
    finally:
        system.disk.empty()
    if system.postgres is not None:  # it exits if it cannot write its WAL, and is restarted
        system.postgres.wait_until_ready()


def _die_at(system: ChaosSystem, _rng: random.Random, *, step: str) -> None:
    token = system.arm(step)
    wait_until(lambda: not token.exists(), seconds=_WAIT_SECONDS, what=f"a process dies at {step}")


def _child(system: ChaosSystem, rng: random.Random) -> psutil.Process:
    wait_until(lambda: bool(system.worker_children), seconds=_WAIT_SECONDS, what="the worker has processes")
    return rng.choice(system.worker_children)


def _process(system: ChaosSystem, program: str) -> psutil.Process:
    supervised = system.supervised[program]
    wait_until(lambda: supervised.is_alive, seconds=_WAIT_SECONDS, what=f"{program} runs")
    assert supervised.process is not None
    return psutil.Process(supervised.process.pid)


def _hold_for(rng: random.Random, seconds: tuple[float, float]) -> None:
    """Keep the fault active for a random time."""
    time.sleep(rng.uniform(*seconds))
