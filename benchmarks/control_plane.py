"""Measure the processor time per image of the pipeline itself, without reading, decoding and predicting.

Method: all processes run as `nightread run` starts them: this process, which scans, registers and dispatches; Redis;
Celery's parent process; the worker processes. In the worker processes, stand-ins replace parts of four modules
(benchmarks/fakes): no file is opened, nothing is decoded, and the network returns at once. The rest is measured:
walking the folder, registering, forming and publishing batches, Celery, claiming, `worker.analyse`, looking up copies,
recording and notifications. psutil reads the user and system time of every process before the scan of the folder and
after the last outcome. Nothing is subtracted, so the stand-ins' own time (about 2 us per image) is included. The two
timers that `worker.decode` sets for each image (about 2 us) are not included.

The producer's part is the time of this process in that run. The ledger's part (claim, look-up of copies, record) is
the processor time of these operations alone, in one process on an empty ledger with full batches (benchmarks.ledger).
The rate of the whole run is the ceiling: the throughput of the pipeline if images cost nothing. On PostgreSQL, another
run measures images per second while four processes only claim, look up and record batches that already exist.
"""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import database_load, ledger, process_times
from benchmarks.figures import Figure, Target, median
from benchmarks.machine_speed import MachineSpeed
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, run
from benchmarks.servers import MissingServerError, database_url_for
from benchmarks.stand_ins import stand_ins_for_reading, write_placeholders

_TOTAL = {"SQLite": Target(at_most=120), "PostgreSQL": Target(at_most=250)}
_PRODUCER, _LEDGER = {"SQLite": Target(at_most=50)}, {"SQLite": Target(at_most=60)}
_RECORDED = Target(at_least=8_000)
_RECORDERS = 4
_LEDGER_OPERATIONS = ("claim", "look up", "record")


class _Measured(NamedTuple):
    run: Run
    speed: float
    """Speed of the machine during the run (benchmarks.machine_speed)."""


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Measure microseconds of CPU per image, and the ceiling."""
    try:
        measured = [_run(plan, kind) for _ in range(plan.repeat)]
    except MissingServerError as missing:
        yield Figure(name=f"control plane, {kind}", note=str(missing))
        return
    runs = [each.run for each in measured]
    operations = [_operations(plan, kind) for _ in range(plan.repeat)]
    parts = process_times.describe({part: median([each.cpu[part] for each in runs]) for part in runs[0].cpu})
    producer = [each.cpu[process_times.PRODUCER] for each in runs]
    in_ledger = [sum(each[operation] for operation in _LEDGER_OPERATIONS) for each in operations]
    rest = median([each.cpu[process_times.WORKERS] for each in runs]) - median(in_ledger)
    alone = _describe_operations(operations)
    parts += f"; in the worker processes {rest:.0f} are outside of the ledger: worker.analyse, Celery, waiting"
    at_best_speed = median([each.run.cpu_total * each.speed for each in measured])
    speed = median([each.speed for each in measured])
    parts += f"; the machine ran at {speed:.2f} of its best speed; at its best speed it would be {at_best_speed:.0f} us"
    yield _figure(f"control plane, {kind}", [each.cpu_total for each in runs], _TOTAL[kind], parts)
    yield _figure(f"producer's part, {kind}", producer, _PRODUCER.get(kind), f"ledger operations alone: {alone}")
    yield _figure(f"ledger's part, {kind}", in_ledger, _LEDGER.get(kind), alone)
    yield Figure(
        name=f"ceiling: reading and network cost nothing, {kind}",
        values=tuple(each.rate for each in runs),
        unit="images/s",
        note=f"{runs[0].images:,} images, {median([each.cores_busy for each in runs]):.1f} cores at work",
    )
    if kind == "PostgreSQL":
        yield _recorded(plan, kind)


def _recorded(plan: Plan, kind: str) -> Figure:
    loads = []
    for _ in range(plan.repeat):
        with database_url_for(kind) as url:
            assert url is not None  # noqa: S101 - None stands for SQLite
            loads.append(database_load.run(url, plan.count(40_960, 8_192), _RECORDERS))
    parts = process_times.describe({part: median([each.cpu[part] for each in loads]) for part in loads[0].cpu})
    busy = median([each.cores_busy for each in loads])
    return Figure(
        name=f"recorded by {_RECORDERS} processes, {kind}",
        values=tuple(each.rate for each in loads),
        unit="images/s",
        target=_RECORDED,
        note=f"{busy:.1f} cores at work; us per image: {parts}",
        bound_by=f"processor time in us per image: {parts}; {busy:.1f} cores at work",
    )


def _run(plan: Plan, kind: str) -> _Measured:
    with scratch() as work_dir, database_url_for(kind) as url, stand_ins_for_reading():
        write_placeholders(work_dir / "scans", plan.count(50_000, 4_000))
        with MachineSpeed() as machine_speed:
            done = run(work_dir / "scans", work_dir, plan, database_url=url)
    plan.log(
        f"{kind}: {done.cpu_total:.0f} us per image ({process_times.describe(done.cpu)}), {done.rate:,.0f}/s; "
        f"the machine ran at {machine_speed.speed:.2f} of its best speed"
    )
    return _Measured(run=done, speed=machine_speed.speed)


def _operations(plan: Plan, kind: str) -> dict[str, float]:
    """Return processor microseconds per image of each operation of the ledger."""
    images = plan.count(20_000, 2_000)
    with database_url_for(kind) as url, ledger.empty_ledger(url) as database:
        spent = ledger.measure(database, images)
    return {operation: 1e6 * seconds / images for operation, seconds in spent.cpu.items()}


def _describe_operations(operations: list[dict[str, float]]) -> str:
    return ", ".join(f"{name} {median([each[name] for each in operations]):.0f}" for name in operations[0])


def _figure(name: str, values: list[float], target: Target | None, parts: str) -> Figure:
    return Figure(name=name, values=tuple(values), unit="us CPU/image", target=target, note=parts, bound_by=parts)
