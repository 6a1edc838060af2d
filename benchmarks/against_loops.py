"""The pipeline, a bare loop and a plain loop over the same files, in turn."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import loops, process_times
from benchmarks.figures import Bar, Figure, median
from benchmarks.loops import LoopRun
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, describe, run
from benchmarks.workloads import WORKLOADS, Workload, write

_BARE_BARS = {"ct": Bar(at_least=0.90)}
_PLAIN_BARS = {name: Bar(at_least=1.0) for name in ("28x28-8", "28x28-16", "ct")}


def measure(plan: Plan, workload_name: str) -> Iterator[Figure]:
    """Ratios of images per second; each repetition is its own ratio, so that slow minutes meet all three alike."""
    workload = WORKLOADS[workload_name]
    with scratch() as place:
        images = plan.count(workload.images, max(workload.images // 16, 16))
        plan.say(f"writing {images:,} files of {workload.name}")
        files = write(workload, place / "scans", images)
        rounds = [_round(plan, workload, files, place) for _ in range(plan.repeat)]
    wholes, bares, plains = zip(*rounds, strict=True)
    yield _ratio(f"pipeline / bare loop, {workload.name}", wholes, bares, _BARE_BARS.get(workload_name))
    yield _ratio(f"pipeline / plain loop, {workload.name}", wholes, plains, _PLAIN_BARS.get(workload_name))


def _round(plan: Plan, workload: Workload, files: list[Path], place: Path) -> tuple[Run, LoopRun, LoopRun]:
    with scratch() as work:
        plain, bare = (
            loops.run(loop, files, work / f"{name}.sqlite3", processes=plan.processes, batch=workload.batch)
            for name, loop in (("plain", loops.plain), ("bare", loops.bare))
        )
        whole = run(place / "scans", work, plan)
    plan.say(f"{workload.name}: pipeline {whole.rate:.0f}/s, bare {bare.rate:.0f}/s, plain {plain.rate:.0f}/s")
    plan.say(f"  {describe(whole)}; {whole.seconds:.1f} s")
    return whole, bare, plain


def _ratio(name: str, wholes: tuple[Run, ...], others: tuple[LoopRun, ...], bar: Bar | None) -> Figure:
    ours, theirs = median([each.rate for each in wholes]), median([each.rate for each in others])
    return Figure(
        name=name,
        values=tuple(whole.rate / other.rate for whole, other in zip(wholes, others, strict=True)),
        unit="x",
        bar=bar,
        note=f"{wholes[0].images:,} files: {ours:,.0f}/s against {theirs:,.0f}/s",
        bound_by=_bound(wholes, others),
    )


def _bound(wholes: tuple[Run, ...], others: tuple[LoopRun, ...]) -> str:
    """From the run in the middle: how much processor time each needs, and whether there was any left."""
    pairs = sorted(zip(wholes, others, strict=True), key=lambda pair: pair[0].rate / pair[1].rate)
    whole, other = pairs[len(pairs) // 2]
    return (
        f"{whole.cpu_total:.0f} us of CPU an image ({process_times.describe(whole.cpu)}) against {other.cpu:.0f}; "
        f"cores at work: {whole.cores_busy:.1f} against {other.cpu * other.rate / 1e6:.1f}"
    )
