"""One run: arrivals at their pace, faults at random moments, and the account at the end."""

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from db import queries
from db.engine import Database
from db.tables import instances, work
from nightread.clock import utc_now

from .arrivals import Sender, plan
from .faults import drawn, faults_for
from .system import System, started_system
from .verdict import reference, violations

_QUIET_SECONDS = 10.0
"""Without faults at the beginning and the end of the arrivals."""
_END_SECONDS = 180.0
_TICK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Struck:
    """One fault that happened."""

    name: str
    began: datetime
    ended: datetime


@dataclass(kw_only=True, slots=True)
class Account:
    """How a run went."""

    seed: int
    database: str
    images: int
    faults: int
    seconds: float
    violations: list[str]
    tally: dict[str, int]
    analyses_per_image: float
    recoveries: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By fault: seconds until the next outcome of a later arrival, and until all that had arrived was final."""
    restarts: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def run(
    folder: Path,
    *,
    kind: str,
    seed: int,
    minutes: float,
    faults: int,
    images: int,
    say: Callable[[str], None],
) -> Account:
    """Start a system below `folder`, hurt it, and hold it to account."""
    rng = random.Random(seed)
    seconds = 60 * minutes
    files = plan(seed, images, seconds)
    say(f"{len(files)} files; what becomes of them when nothing goes wrong?")
    expected = reference(files)
    with started_system(folder, kind) as (system, database):
        chosen = drawn(faults_for(system), faults, rng)
        moments = sorted(rng.uniform(_QUIET_SECONDS, max(_QUIET_SECONDS, seconds - _QUIET_SECONDS)) for _ in chosen)
        sender = Sender(system.inbox, system.transfer, files)
        began = time.monotonic()
        struck = _strike_all(system, sender, began, list(zip(moments, chosen, strict=True)), rng, say)
        say(f"{len(struck)} faults in {time.monotonic() - began:.0f} s; waiting for the last outcome")
        _wait_for_the_end(system, sender, database)
        account = Account(
            seed=seed,
            database=kind,
            images=len(files),
            faults=len(struck),
            seconds=time.monotonic() - began,
            violations=violations(system, database, files, expected),
            tally=queries.tally(database).to_json(),
            analyses_per_image=_analyses_per_image(database),
            recoveries=_recoveries(database, struck),
            restarts={name: part.starts - 1 for name, part in system.parts.items()},
            skipped=[] if system.has_small_disk else ["disk full: mounting is not allowed here"],
        )
    account.violations += [f"orphan: {process.name()} {process.pid}" for process in system.orphans()]
    return account


def _strike_all(
    system: System,
    sender: Sender,
    began: float,
    due: list[tuple[float, Any]],
    rng: random.Random,
    say: Callable[[str], None],
) -> list[Struck]:
    """One after the other: a fault that is due while another lasts strikes right after it."""

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            sender.send_due()
            system.keep()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _TICK_SECONDS))

    struck = []
    for number, (moment, fault) in enumerate(due, start=1):
        wait(max(0.0, began + moment - time.monotonic()))
        began_at = utc_now()
        say(f"{time.monotonic() - began:5.0f} s  {number}/{len(due)}  {fault.name}")
        fault.strike(system, rng, wait)
        struck.append(Struck(name=fault.name, began=began_at, ended=utc_now()))
    while sender.left:
        wait(_TICK_SECONDS)
    return struck


def _wait_for_the_end(system: System, sender: Sender, database: Database) -> None:
    """Until every file has its outcome, and nothing changes any more; or not any longer than is bearable."""
    deadline = time.monotonic() + _END_SECONDS
    still = 0
    while time.monotonic() < deadline and still < 3 / _TICK_SECONDS:
        sender.send_due()
        system.keep()
        time.sleep(_TICK_SECONDS)
        still = still + 1 if _all_final(system, database) else 0


def _all_final(system: System, database: Database) -> bool:
    try:
        tally = queries.tally(database)
    except DBAPIError:
        return False
    present = sum(1 for path in system.inbox.rglob("*") if path.is_file())
    return tally.arrived >= present and tally.unfinished == 0


def _analyses_per_image(database: Database) -> float:
    with database.read() as connection:
        return float(connection.execute(select(func.avg(work.c.attempts)).where(work.c.ordinal == 0)).scalar_one())


def _recoveries(database: Database, struck: Sequence[Struck]) -> dict[str, list[tuple[float, float]]]:
    recoveries: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for fault in struck:
        arrived, finished = instances.c.arrived_at, work.c.finished_at
        times = select(func.min(finished), func.max(finished)).join(instances, instances.c.id == work.c.instance_id)
        with database.read() as connection:
            back = connection.execute(times.where(arrived > fault.began, finished > fault.ended)).one()[0]
            clear = connection.execute(times.where(arrived <= fault.ended, finished > fault.ended)).one()[1]
        recoveries[fault.name].append((_seconds(fault.ended, back), _seconds(fault.ended, clear)))
    return dict(recoveries)


def _seconds(since: datetime, until: datetime | None) -> float:
    return (until - since).total_seconds() if until else 0.0


def median_and_worst(seconds: Sequence[float]) -> tuple[float, float]:
    """Of recoveries."""
    return statistics.median(seconds), max(seconds)
