"""The pipeline, a bare loop and a plain loop over the same files, in turn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import loops, process_times
from benchmarks.figures import Bar, Figure, median
from benchmarks.loops import LoopRun
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, describe, warm
from benchmarks.workloads import WORKLOADS, Workload, write

_ROUNDS = 3
"""Of each repetition: neighbours on the machine change its speed by half from one ten seconds to the next."""
_BARE_BARS = {"ct": Bar(at_least=0.90)}
_PLAIN_BARS = {name: Bar(at_least=1.0) for name in ("28x28-8", "28x28-16", "ct")}


@dataclass(frozen=True, kw_only=True)
class Round:
    """All three within seconds of each other."""

    whole: Run
    bare: LoopRun
    plain: LoopRun


def measure(plan: Plan, workload_name: str) -> Iterator[Figure]:
    """Ratios of images per second; each repetition is its own ratio, so that slow minutes meet all three alike."""
    workload = WORKLOADS[workload_name]
    with scratch() as place:
        images = plan.count(workload.images, max(workload.images // 16, 16))
        plan.say(f"writing {images:,} files of {workload.name}")
        files = write(workload, place / "scans", images)
        rounds = list(_rounds(plan, workload, files, place))
    wholes = tuple(each.whole for each in rounds)
    yield _ratio(
        f"pipeline / bare loop, {workload.name}",
        wholes,
        tuple(each.bare for each in rounds),
        _BARE_BARS.get(workload_name),
    )
    yield _ratio(
        f"pipeline / plain loop, {workload.name}",
        wholes,
        tuple(each.plain for each in rounds),
        _PLAIN_BARS.get(workload_name),
    )


def _rounds(plan: Plan, workload: Workload, files: list[Path], place: Path) -> Iterator[Round]:
    """All three are warm before the first round and wait, idle, for their turns: a round is over in seconds."""
    first = files[: workload.batch]
    with (
        loops.warm(
            loops.plain, first, place / "plain.sqlite3", processes=plan.processes, batch=workload.batch
        ) as plain,
        loops.warm(loops.bare, first, place / "bare.sqlite3", processes=plan.processes, batch=workload.batch) as bare,
        warm(place, plan) as whole,
    ):
        turns: dict[str, Callable[[], Run | LoopRun]] = {
            "whole": lambda: whole.run(place / "scans"),
            "bare": lambda: bare.run(files),
            "plain": lambda: plain.run(files),
        }
        for number in range(plan.count(_ROUNDS * plan.repeat, plan.repeat)):
            whole.forget_images()
            done = {}
            for name in _rotated([*turns], number):
                _warm_page_cache(files)
                done[name] = turns[name]()
            yield _say(plan, workload, Round(**done))  # type: ignore[arg-type]


def _rotated(names: list[str], by: int) -> list[str]:
    """Nobody always comes first."""
    return names[by % len(names) :] + names[: by % len(names)]


def _warm_page_cache(files: Sequence[Path]) -> None:
    """A virtual machine may give back what nobody has looked at for seconds: the disk would decide who is fast."""
    for path in files:
        path.read_bytes()


def _say(plan: Plan, workload: Workload, done: Round) -> Round:
    whole, bare, plain = done.whole, done.bare, done.plain
    plan.say(f"{workload.name}: pipeline {whole.rate:.0f}/s, bare {bare.rate:.0f}/s, plain {plain.rate:.0f}/s")
    plan.say(f"  {describe(whole)}; {whole.seconds:.1f} s")
    return done


def _ratio(name: str, wholes: tuple[Run, ...], others: tuple[LoopRun, ...], bar: Bar | None) -> Figure:
    ours, theirs = median([each.rate for each in wholes]), median([each.rate for each in others])
    return Figure(
        name=name,
        values=tuple(whole.rate / other.rate for whole, other in zip(wholes, others, strict=True)),
        unit="x",
        bar=bar,
        note=f"{wholes[0].images:,} files: {ours:,.0f}/s against {theirs:,.0f}/s; "
        f"by processor time {_by_cpu(wholes, others)}",
        bound_by=_bound(wholes, others),
    )


def _by_cpu(wholes: tuple[Run, ...], others: tuple[LoopRun, ...]) -> str:
    """The ratio of what an image costs all processes together: what waits does not count."""
    ratios = [other.cpu / whole.cpu_total for whole, other in zip(wholes, others, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _bound(wholes: tuple[Run, ...], others: tuple[LoopRun, ...]) -> str:
    """From the run in the middle: how much processor time each needs, and whether there was any left."""
    pairs = sorted(zip(wholes, others, strict=True), key=lambda pair: pair[0].rate / pair[1].rate)
    whole, other = pairs[len(pairs) // 2]
    return (
        f"{whole.cpu_total:.0f} us of CPU an image ({process_times.describe(whole.cpu)}) against {other.cpu:.0f}; "
        f"cores at work: {whole.cores_busy:.1f} against {other.cpu * other.rate / 1e6:.1f}"
    )
