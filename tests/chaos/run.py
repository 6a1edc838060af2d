"""Run the system once with arrivals and faults, and measure the result."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from chaos.arrivals import FileWriter, PlannedFile
from chaos.expected_outcomes import ExpectedOutcome
from chaos.faults import FaultKind, choose_faults, fault_kinds
from chaos.invariants import all_final, violations
from chaos.state_log import install_triggers
from chaos.system import ChaosSystem, chaos_system
from chaos.waiting import WaitTimeoutError, wait_until
from db import queries
from db.engine import Database
from db.tables import instances, work
from nightread.clock import utc_now

_END_SECONDS = 180.0
_READY_SECONDS = 180.0
Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class InjectedFault:
    """One fault that was injected."""

    name: str
    at: datetime
    healed_at: datetime


@dataclass(kw_only=True, slots=True)
class RunResult:
    """The result of a run; the names of its fields are keys of the JSON output."""

    database: str
    seed: int
    minutes: float
    folder: str
    faults: int = 0
    violations: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    tally: dict[str, int | bool] = field(default_factory=dict)
    analyses_per_image: float = 0.0
    recoveries: dict[str, list[float | None]] = field(default_factory=dict)
    """Fault -> seconds from its end until the next outcome of an image that arrived after its start.

    None: no image arrived after the start of the fault.
    """
    starts: dict[str, int] = field(default_factory=dict)
    """Process -> number of starts, including the first one."""


def run(
    folder: Path,
    *,
    database: str,
    seed: int,
    minutes: float,
    faults: int,
    arrivals: Sequence[PlannedFile],
    expected: Mapping[str, ExpectedOutcome],
    log: Log,
) -> RunResult:
    """Start a system below `folder`, write the arrivals, inject faults, and check the invariants at the end."""
    result = RunResult(database=database, seed=seed, minutes=minutes, folder=str(folder))
    rng = random.Random(seed)
    with chaos_system(folder, database=database) as system:
        system.start()
        opened = system.database()
        install_triggers(opened)
        system.start_programs()
        if system.disk.mount_error:
            result.skipped.append(f"disk full: {system.disk.mount_error}")
        with FileWriter(system.inbox, arrivals[:1]):
            wait_until(lambda: _has_outcome(opened), seconds=_READY_SECONDS, what="the networks are loaded")
        with FileWriter(system.inbox, arrivals[1:]) as writer:
            injected = _inject(system, choose_faults(fault_kinds(system), faults, rng), rng, result, log)
            writer.wait()
        result.faults = len(injected)
        _wait_for_the_end(system, opened, result, log)
        result.violations += violations(system, opened, arrivals, expected) + system.orphans()
        _measure(result, system, opened, injected)
        opened.close()
        result.violations += system.stop()
    return result


def _inject(
    system: ChaosSystem, chosen: Sequence[FaultKind], rng: random.Random, result: RunResult, log: Log
) -> list[InjectedFault]:
    """Inject the faults one after the other, at random moments while files arrive.

    A fault that is due while another one lasts follows right after it.
    """
    began = time.monotonic()
    moments = sorted(rng.uniform(0, 0.85 * 60 * result.minutes) for _ in chosen)
    injected = []
    for number, (moment, fault) in enumerate(zip(moments, chosen, strict=True), start=1):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        log(f"{time.monotonic() - began:4.0f} s  {number}/{len(chosen)}  {fault.name}")
        at = utc_now()
        try:
            fault.inject(system, rng)
        except WaitTimeoutError as error:
            result.violations.append(f"{fault.name}: {error}")
        injected.append(InjectedFault(name=fault.name, at=at, healed_at=utc_now()))
    return injected


def _wait_for_the_end(system: ChaosSystem, database: Database, result: RunResult, log: Log) -> None:
    log("waiting until every file has an outcome")
    began = time.monotonic()

    def done() -> bool:
        try:
            return all_final(system, database)
        except SQLAlchemyError:
            return False

    try:
        wait_until(done, seconds=_END_SECONDS, what="every file has an outcome", every=0.5)
    except WaitTimeoutError as error:
        result.violations.append(str(error))
    log(f"finished {time.monotonic() - began:.0f} s after the last arrival")


def _has_outcome(database: Database) -> bool:
    tally = queries.tally(database)
    return tally.arrived > tally.unfinished


def _measure(result: RunResult, system: ChaosSystem, database: Database, injected: Sequence[InjectedFault]) -> None:
    first = work.c.ordinal == 0
    with database.read() as connection:
        result.analyses_per_image = float(
            connection.execute(select(func.avg(work.c.attempts)).where(first)).scalar_one()
        )
    result.tally = queries.tally(database).to_json()
    result.starts = {name: supervised.starts for name, supervised in system.supervised.items()}
    for fault in injected:
        result.recoveries.setdefault(fault.name, []).append(_recovery_seconds(database, fault))


def _recovery_seconds(database: Database, fault: InjectedFault) -> float | None:
    """Return the seconds until the next outcome, or None if no image arrived after the fault."""
    later = (
        select(func.min(work.c.finished_at))
        .join(instances, instances.c.id == work.c.instance_id)
        .where(work.c.ordinal == 0, instances.c.arrived_at > fault.at, work.c.finished_at > fault.healed_at)
    )
    with database.read() as connection:
        back = connection.execute(later).scalar()
    return None if back is None else (back - fault.healed_at).total_seconds()
