"""Compare the pipeline with a bare loop and a plain loop over the same files, in turns."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import baseline_loops, process_times
from benchmarks.baseline_loops import LoopRun
from benchmarks.figures import Figure, Target, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, describe, warm
from benchmarks.workloads import WORKLOADS, Workload, write

_ROUNDS = 3
"""Rounds per repetition. Several short rounds are needed, since other users of a shared machine can halve its speed
within ten seconds."""
_BARE_TARGETS = {"ct": Target(at_least=0.90)}
_PLAIN_TARGETS = {
    "ct": Target(at_least=2.0),
    "28x28-8": Target(at_least=2.5),
    "28x28-16": Target(at_least=2.5),
}


@dataclass(frozen=True, kw_only=True)
class Round:
    """One run each of pipeline, bare loop and plain loop, within seconds of each other."""

    whole: Run
    bare: LoopRun
    plain: LoopRun


def measure(plan: Plan, workload_name: str) -> Iterator[Figure]:
    """Measure ratios of images per second. Each round has its own ratio, so that a slow minute affects all three."""
    workload = WORKLOADS[workload_name]
    with scratch() as work_dir:
        images = plan.count(workload.images, max(workload.images // 16, 16))
        plan.log(f"writing {images:,} files of {workload.name}")
        files = write(workload, work_dir / "scans", images)
        rounds = list(_rounds(plan, workload, files, work_dir))
    wholes = tuple(each.whole for each in rounds)
    yield _ratio(
        f"pipeline / bare loop, {workload.name}",
        wholes,
        tuple(each.bare for each in rounds),
        _BARE_TARGETS.get(workload_name),
    )
    yield _ratio(
        f"pipeline / plain loop, {workload.name}",
        wholes,
        tuple(each.plain for each in rounds),
        _PLAIN_TARGETS.get(workload_name),
    )


def _rounds(plan: Plan, workload: Workload, files: list[Path], work_dir: Path) -> Iterator[Round]:
    """Yield rounds of plain loop, bare loop and pipeline in turn. All three are warm before the first round."""
    first = files[: workload.batch]
    with (
        baseline_loops.warm(
            baseline_loops.plain, first, work_dir / "plain.sqlite3", processes=plan.processes, batch=workload.batch
        ) as plain,
        baseline_loops.warm(
            baseline_loops.bare, first, work_dir / "bare.sqlite3", processes=plan.processes, batch=workload.batch
        ) as bare,
        warm(work_dir, plan) as whole,
    ):
        turns: dict[str, Callable[[], Run | LoopRun]] = {
            "whole": lambda: whole.run(work_dir / "scans"),
            "bare": lambda: bare.run(files),
            "plain": lambda: plain.run(files),
        }
        for number in range(plan.count(_ROUNDS * plan.repeat, plan.repeat)):
            whole.delete_images()
            done = {}
            for name in _rotated([*turns], number):
                warm_page_cache(files)
                done[name] = turns[name]()
            yield _log(plan, workload, Round(**done))  # type: ignore[arg-type]


def _rotated(names: list[str], by: int) -> list[str]:
    """Rotate the names, so that each round begins with another name."""
    return names[by % len(names) :] + names[: by % len(names)]


def warm_page_cache(files: Sequence[Path]) -> None:
    """Read all files, so that the disk is not measured: a virtual machine may drop cached pages within seconds."""
    for path in files:
        path.read_bytes()


def _log(plan: Plan, workload: Workload, done: Round) -> Round:
    whole, bare, plain = done.whole, done.bare, done.plain
    plan.log(f"{workload.name}: pipeline {whole.rate:.0f}/s, bare {bare.rate:.0f}/s, plain {plain.rate:.0f}/s")
    plan.log(f"  {describe(whole)}; {whole.seconds:.1f} s")
    return done


def _ratio(name: str, wholes: tuple[Run, ...], others: tuple[LoopRun, ...], target: Target | None) -> Figure:
    pipeline_rate, other_rate = median([each.rate for each in wholes]), median([each.rate for each in others])
    return Figure(
        name=name,
        values=tuple(whole.rate / other.rate for whole, other in zip(wholes, others, strict=True)),
        unit="x",
        target=target,
        note=f"{wholes[0].images:,} files: {pipeline_rate:,.0f}/s compared with {other_rate:,.0f}/s; "
        f"by processor time {_by_cpu(wholes, others)}",
        bound_by=_bound(wholes, others),
    )


def _by_cpu(wholes: tuple[Run, ...], others: tuple[LoopRun, ...]) -> str:
    """Return the ratio of the processor times per image, over all processes. Waiting does not count."""
    ratios = [other.cpu / whole.cpu_total for whole, other in zip(wholes, others, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _bound(wholes: tuple[Run, ...], others: tuple[LoopRun, ...]) -> str:
    """Describe the processor time per image and the busy cores in the round with the median ratio."""
    pairs = sorted(zip(wholes, others, strict=True), key=lambda pair: pair[0].rate / pair[1].rate)
    whole, other = pairs[len(pairs) // 2]
    return (
        f"{whole.cpu_total:.0f} us of CPU per image ({process_times.describe(whole.cpu)}), loop {other.cpu:.0f}; "
        f"cores at work: {whole.cores_busy:.1f}, loop {other.cpu * other.rate / 1e6:.1f}"
    )
