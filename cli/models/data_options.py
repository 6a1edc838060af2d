"""Define the options that name labelled data, open the data and describe them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from cli.output.console import err
from cli.output.tables import make_table, show
from cli.wording import counted
from models.datasets import KINDS, open_dataset
from models.datasets.dataset import Dataset
from models.datasets.summary import PartSummary, summarise
from models.datasets.warnings import data_warnings

F = TypeVar("F", bound=Callable[..., Any])

_DATA: dict[str, Any] = {"metavar": "KIND:PATH", "help": f"Labelled images: {', '.join(KINDS)}."}
_LABELS = click.option(
    "--labels",
    "labels_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file with the labels for dicom or images; without it, folder names are the labels.",
)
_SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),  # the range that NumPy and every backend of Keras accept
    default=0,
    show_default=True,
    help="Random seed. It also decides the split if the data set has no published split.",
)


def data_options(command: F) -> F:
    """Add --data, --labels and --seed; the command gets `data`, `labels_file` and `seed`."""
    return click.option("--data", required=True, **_DATA)(_LABELS(_SEED(command)))


def optional_data_options(command: F) -> F:
    """Add the options of `data_options` to a command that does not require data: `data` may be None."""
    return click.option("--data", **_DATA)(_LABELS(_SEED(command)))


def open_and_describe(data: str, labels_file: Path | None, seed: int, console: Console) -> Dataset:
    """Open the data with a progress bar on standard error, and describe them on `console`.

    Raises UsageFault for data that cannot be used for training or evaluation.
    """
    columns = TextColumn("reading headers"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)
        dataset = open_dataset(
            data,
            labels_file=labels_file,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    describe(dataset, console)
    return dataset


def describe(dataset: Dataset, console: Console) -> None:
    """Print the images per part and label, how they were split, and the files that were left out."""
    parts = summarise(dataset)
    console.print(Text(_heading(dataset)))
    several = any(part.frames != part.images for part in parts)
    headings = ["part", "images", *(name for name, _ in _extra(parts[0], frames=several)), *dataset.labels]
    table = make_table(console, *headings, right=headings[1:])
    for part in parts:
        extra = (f"{count:,}" for _, count in _extra(part, frames=several))
        shares = (f"{count:,}" for count in part.images_with.values())
        table.add_row(Text(part.name), f"{part.images:,}", *extra, *shares)
    show(console, table)
    console.print(Text(f"split: {dataset.split}"))
    for reason, files in dataset.unreadable.items():
        console.print(Text(f"left out: {counted(files, 'file')}, {reason.value}: {reason.message}"), style="yellow")
    for refusal, series in dataset.refused_series.items():
        console.print(Text(f"left out: {series:,} series, {refusal.value} (docs/series.md)"), style="yellow")
    for warning in data_warnings(dataset):
        console.print(Text(warning), style="yellow")


def _heading(dataset: Dataset) -> str:
    kind = "one label per image" if dataset.exclusive else "any number of labels per image"
    spec = dataset.native_spec
    return f"{dataset.reference}: {len(dataset.labels)} labels, {kind}; {spec.height} x {spec.width} x {spec.channels}"


def _extra(part: PartSummary, *, frames: bool) -> list[tuple[str, int]]:
    """Return further columns: frames if `frames` is set, patients if they are known."""
    extra = [("frames", part.frames)] if frames else []
    return extra if part.patients is None else [*extra, ("patients", part.patients)]
