"""What the pipeline itself costs an image, with reading, decoding and predicting taken out.

Method. The whole tree of processes runs as `nightread run` starts it: this process scans, registers and dispatches;
Redis; Celery's parent; the worker processes. In the worker processes three modules are replaced by stand-ins
(benchmarks/fakes): no file is opened, nothing is decoded, and the network answers at once. What is left is walking the
folder, registering, forming and publishing batches, Celery, claiming, the way through `worker.analyse`, looking up
copies, recording and waking. User and system time of every process is read by psutil before the first look at the
folder and after the last outcome; nothing is subtracted, so that what the stand-ins cost (some 2 us) counts against us.
What the stand-ins hide is the two timers set for each image in `worker.decode` (some 2 us).

The producer's part is this process in that run. The ledger's part (claim, look up of copies, record) is the processor
time of these verbs alone, called in one process on an empty ledger with full batches (benchmarks.ledger).
The rate of the same run is the ceiling: what the pipeline does when images cost nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import ledger, process_times
from benchmarks.control_plane_run import no_reading, write_placeholders
from benchmarks.figures import Bar, Figure, median
from benchmarks.machine_speed import MachineSpeed
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, run
from benchmarks.servers import MissingServerError, record_url

_TOTAL, _PRODUCER, _LEDGER = Bar(at_most=120), Bar(at_most=50), Bar(at_most=60)
_LEDGER_VERBS = ("claim", "look up", "record")


class _Measured(NamedTuple):
    run: Run
    speed: float
    """Of the machine meanwhile (benchmarks.machine_speed)."""


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Microseconds of CPU per image, and the ceiling. The budget is for SQLite; PostgreSQL is reported."""
    try:
        measured = [_run(plan, kind) for _ in range(plan.repeat)]
    except MissingServerError as missing:
        yield Figure(name=f"control plane, {kind}", note=str(missing))
        return
    runs = [each.run for each in measured]
    verbs = [_verbs(plan, kind) for _ in range(plan.repeat)]
    bars = (_TOTAL, _PRODUCER, _LEDGER) if kind == "SQLite" else (None, None, None)
    parts = process_times.describe({part: median([each.cpu[part] for each in runs]) for part in runs[0].cpu})
    producer = [each.cpu[process_times.PRODUCER] for each in runs]
    in_ledger = [sum(each[verb] for verb in _LEDGER_VERBS) for each in verbs]
    rest = median([each.cpu[process_times.WORKERS] for each in runs]) - median(in_ledger)
    alone = _describe_verbs(verbs)
    parts += f"; in the worker processes {rest:.0f} are not the ledger's: worker.analyse, Celery's child, waiting"
    unhindered = median([each.run.cpu_total * each.speed for each in measured])
    speed = median([each.speed for each in measured])
    parts += f"; the machine ran at {speed:.2f} of its best speed meanwhile: at that it would be {unhindered:.0f} us"
    yield _figure(f"control plane, {kind}", [each.cpu_total for each in runs], bars[0], parts)
    yield _figure(f"of it the producer, {kind}", producer, bars[1], f"the ledger's verbs alone: {alone}")
    yield _figure(f"of it the ledger, {kind}", in_ledger, bars[2], alone)
    yield Figure(
        name=f"ceiling: reading and network cost nothing, {kind}",
        values=tuple(each.rate for each in runs),
        unit="images/s",
        note=f"{runs[0].images:,} images, {median([each.cores_busy for each in runs]):.1f} cores at work",
    )


def _run(plan: Plan, kind: str) -> _Measured:
    with scratch() as place, record_url(kind) as url, no_reading():
        write_placeholders(place / "scans", plan.count(50_000, 4_000))
        with MachineSpeed() as machine_speed:
            done = run(place / "scans", place, plan, database_url=url)
    plan.say(
        f"{kind}: {done.cpu_total:.0f} us an image ({process_times.describe(done.cpu)}), {done.rate:,.0f}/s; "
        f"the machine at {machine_speed.speed:.2f} of its best speed"
    )
    return _Measured(run=done, speed=machine_speed.speed)


def _verbs(plan: Plan, kind: str) -> dict[str, float]:
    """Processor microseconds per image of each of the ledger's verbs."""
    images = plan.count(20_000, 2_000)
    with record_url(kind) as url, ledger.empty_ledger(url) as database:
        spent = ledger.measure(database, images)
    return {verb: 1e6 * seconds / images for verb, seconds in spent.cpu.items()}


def _describe_verbs(verbs: list[dict[str, float]]) -> str:
    return ", ".join(f"{name} {median([each[name] for each in verbs]):.0f}" for name in verbs[0])


def _figure(name: str, values: list[float], bar: Bar | None, parts: str) -> Figure:
    return Figure(name=name, values=tuple(values), unit="us CPU/image", bar=bar, note=parts, bound_by=parts)
