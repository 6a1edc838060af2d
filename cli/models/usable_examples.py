"""Leave out the examples of an evaluation that its models refuse or that cannot be decoded, and describe the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from cli.output.console import err
from imaging.spec import InputSpec
from models.bundle import Bundle
from models.datasets.dataset import Dataset, Examples, portable
from models.datasets.warnings import leak_warnings
from models.evaluation.admission import RefusedStacks, admitted
from models.evaluation.page import Material
from models.training.prepared import decodable, in_memory, prepared_bytes
from nightread.errors import UsageFault

_MEMORY_BYTES = 2 << 30
"""Largest size of prepared images that are kept in memory; larger data are decoded twice."""


@dataclass(frozen=True, kw_only=True)
class UsableExamples:
    """The examples of one part of a data set that every model of an evaluation accepts and can prepare.

    It also has the stacks that were refused, and the number of frames that could not be decoded.
    """

    examples: Examples
    refused: tuple[RefusedStacks, ...]
    """Stacks that the rules of a bundle refuse. A stack that several bundles refuse is listed for the first one."""
    undecodable_frames: int


def usable_examples(bundles: Sequence[Bundle], examples: Examples, part: str) -> UsableExamples:
    """Return the examples of a part that all bundles accept and can prepare.

    Print on standard error which examples are refused. If the prepared examples fit into memory, they are kept there.
    Raises UsageFault if nothing is left.
    """
    refused: list[RefusedStacks] = []
    for bundle in bundles:
        examples, of_bundle = admitted(bundle, examples, part)
        refused += of_bundle
        for stacks in of_bundle:
            err.print(Text(f"left out of the {part} part: {stacks}"), style="yellow")
    undecodable = 0
    for spec in dict.fromkeys(bundle.spec for bundle in bundles):
        examples, frames = readable(examples, spec)
        undecodable += frames
    return UsableExamples(examples=examples, refused=tuple(refused), undecodable_frames=undecodable)


def material_of(dataset: Dataset, part: str, usable: UsableExamples) -> Material:
    """Describe the data for the evaluation page."""
    examples = usable.examples
    return Material(
        reference=portable(dataset.reference),
        part=part,
        split=dataset.split,
        images=examples.images,
        frames=len(examples),
        patients=None if examples.patients is None else len(set(examples.patients.tolist())),
        unreadable={reason.value: files for reason, files in dataset.unreadable.items()},
        undecodable_frames=usable.undecodable_frames,
        refused_series={reason.value: series for reason, series in dataset.refused_series.items()},
        refused_stacks=usable.refused,
        warnings=leak_warnings(dataset),
    )


@contextmanager
def progress_bar(title: str, frames: int) -> Iterator[Callable[[int], object]]:
    """Show a progress bar on standard error. Yields a function to call with each number of finished frames."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=frames)
        yield lambda done: bar.advance(task, done)


def readable(examples: Examples, spec: InputSpec) -> tuple[Examples, int]:
    """Leave out frames that cannot be decoded. Returns the other examples, and the number of frames left out.

    Raises UsageFault if nothing can be decoded.
    """
    prepare = in_memory if prepared_bytes(examples, spec) <= _MEMORY_BYTES else decodable
    with progress_bar("reading", len(examples)) as advance:
        sound, left_out = prepare(examples, spec, advance)
    if not sound.images and spec.needs_neighbours:
        raise UsageFault(
            "The model needs neighbouring slices: give a folder of series with --data dicom-series:FOLDER."
        )
    if not sound.images:
        raise UsageFault("None of the images can be decoded: check the data with `nightread models samples`.")
    return sound, left_out
