"""Compare the analysis of series with that of the same slices as single images, from the folder to the last result.

The network is `ct-nodule` in three bundles. They have results of images, results of series, or results of series whose
slices are shown with their neighbours (2.5D); with neighbours, each slice is read twice.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from benchmarks import process_times
from benchmarks.compare_loops import warm_page_cache
from benchmarks.figures import Figure, Target, median
from benchmarks.plan import Plan, scratch
from benchmarks.run import Run, WarmPipeline, describe, warm
from benchmarks.series_files import SliceWriter
from db.series_tables import series_results
from models.bundle import Bundle, save_bundle
from models.catalogue import find_bundle
from models.series.spec import MAX, SeriesSpec

IMAGES, SERIES, NEIGHBOURS = "single images", "series", "series with neighbours (2.5D)"
_SERIES = 1000
_SLICES = 200
_MOST_AT_ONCE = 25
"""Most series in one turn: they are 2.6 GB of files."""
_FEWEST_TURNS = 4
_WARM_UP_NUMBERS = 900_000
_TARGETS = {SERIES: Target(at_least=0.85)}
_TURNS = ((IMAGES, SERIES, NEIGHBOURS), (NEIGHBOURS, IMAGES, SERIES), (SERIES, NEIGHBOURS, IMAGES))

Turn = Mapping[str, Run]


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure ratios of slices per second. The files of each turn are deleted at its end."""
    series = plan.series or plan.count(_SERIES, 2)
    slices = plan.count(_SLICES, 20)
    with scratch() as work_dir, ExitStack() as stack:
        writer = SliceWriter.with_pictures()
        pipelines = {
            name: stack.enter_context(_warm(work_dir / str(number), plan, bundle, writer))
            for number, (name, bundle) in enumerate(_bundles().items())
        }
        turns = [*_turns(plan, pipelines, writer, work_dir / "scans", _shares(series), slices)]
    yield from (_figure(name, turns, series, slices) for name in (SERIES, NEIGHBOURS))


def _bundles() -> dict[str, Bundle]:
    """Return the three bundles. Each accepts all CT images, and its network has three input channels."""
    shipped = replace(find_bundle("ct-nodule"), domain=None, series=SeriesSpec(aggregate=MAX))
    channels = tuple(replace(channel, offset=0) for channel in shipped.spec.meanings)
    alone = replace(shipped, spec=replace(shipped.spec, meanings=channels), name="ct-alone")
    return {IMAGES: replace(alone, series=None, name="ct-image"), SERIES: alone, NEIGHBOURS: shipped}


def _warm(work_dir: Path, plan: Plan, bundle: Bundle, writer: SliceWriter) -> AbstractContextManager[WarmPipeline]:
    """Start a pipeline whose only model is this bundle."""
    folder = work_dir / "state" / "bundles" / bundle.name
    named = replace(bundle, version="benchmark")
    save_bundle(
        named,
        folder,
        partial(shutil.copyfile, bundle.keras_file),
        save_onnx=partial(shutil.copyfile, bundle.onnx_file),
    )

    def write_some(scans: Path, images: int, first: int) -> None:
        writer.write(scans, series=1, slices=images, first=_WARM_UP_NUMBERS + first)

    return warm(work_dir, plan, model=named.reference, write_some=write_some)


def _shares(series: int) -> list[int]:
    """Return the number of series of each turn."""
    turns = max(-(-series // _MOST_AT_ONCE), min(series, _FEWEST_TURNS))
    return [series // turns + (number < series % turns) for number in range(turns)]


def _turns(
    plan: Plan,
    pipelines: Mapping[str, WarmPipeline],
    writer: SliceWriter,
    scans: Path,
    shares: Sequence[int],
    slices: int,
) -> Iterator[Turn]:
    """Yield turns. In a turn, all pipelines run over the same files, in an order that changes with each turn."""
    first = 0
    for number, series in enumerate(shares):
        folder = scans / str(number)
        writer.write(folder, series=series, slices=slices, first=first)
        first += series * slices
        turn = {}
        for name in _TURNS[number % len(_TURNS)]:
            warm_page_cache([*folder.iterdir()])
            turn[name] = pipelines[name].run(folder)
        shutil.rmtree(folder)
        for name in (SERIES, NEIGHBOURS):
            _require_formed(pipelines[name], sum(shares[: number + 1]))
        plan.log(", ".join(f"{name} {turn[name].rate:.0f}/s" for name in (IMAGES, SERIES, NEIGHBOURS)))
        plan.log("\n".join(f"  {name}: {describe(run)}" for name, run in turn.items()))
        yield turn


def _require_formed(pipeline: WarmPipeline, series: int) -> None:
    """Raise RuntimeError unless each series has a result. The series of the warm-up have results too."""
    with pipeline.embedded.database.read() as connection:
        done = connection.execute(select(func.count()).where(series_results.c.state == "done")).scalar_one()
    if done <= series:
        raise RuntimeError(f"only {done} of more than {series} series have a result")


def _figure(name: str, turns: Sequence[Turn], series: int, slices: int) -> Figure:
    ratios = tuple(turn[name].rate / turn[IMAGES].rate for turn in turns)
    by_cpu = [turn[IMAGES].cpu_total / turn[name].cpu_total for turn in turns]
    rates = {each: median([turn[each].rate for turn in turns]) for each in (name, IMAGES)}
    middle = sorted(turns, key=lambda turn: turn[name].rate / turn[IMAGES].rate)[len(turns) // 2]
    return Figure(
        name=f"{name} / {IMAGES}, 512x512",
        values=ratios,
        unit="x",
        target=_TARGETS.get(name),
        note=f"{series:,} series of {slices} slices: {rates[name]:,.0f} slices/s compared with {rates[IMAGES]:,.0f}; "
        f"by processor time {median(by_cpu):.2f} ({min(by_cpu):.2f}-{max(by_cpu):.2f})",
        bound_by="; ".join(
            f"{each}: {middle[each].cpu_total:.0f} us of CPU per slice ({process_times.describe(middle[each].cpu)})"
            for each in (name, IMAGES)
        ),
    )
