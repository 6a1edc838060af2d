"""Run `nightread models phantom-series`: write synthetic CT series with known truth."""

from pathlib import Path
from typing import Any

import click
from rich.progress import track

from cli.output.console import err, out, print_json
from models.phantoms.ct_habits import SeriesHabit
from nightread.errors import UsageFault

_SLICE, _SERIES = "slice", "series"


@click.command("phantom-series")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(min=1), default=200, show_default=True, help="Number of series.")
@click.option("--slices", type=click.IntRange(16, 1000), default=24, show_default=True, help="Slices per stack.")
@click.option("--size", type=click.IntRange(32, 512), default=64, show_default=True, help="Rows and columns.")
@click.option(
    "--nodules", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of series with a nodule."
)
@click.option(
    "--habit",
    type=click.Choice([habit.value for habit in SeriesHabit]),
    help="How the device writes its series [a mixture of all except `ambiguous`].",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Random seed.")
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV file to write the truth to, for --labels of other commands; it must be outside of FOLDER.",
)
@click.option(
    "--by",
    type=click.Choice((_SLICE, _SERIES)),
    default=_SLICE,
    show_default=True,
    help="Whether the CSV file labels slices or series.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def phantom_series_command(
    folder: Path, count: int, seed: int, labels_file: Path | None, by: str, as_json: bool, **style: Any
) -> None:
    """Write synthetic CT series with known truth.

    A nodule is a ball and a vessel is a rod: in one slice both look like the same round spot. Only the neighbouring
    slices show the difference. Like series of real devices, the series may be tilted, doubled or incomplete.

    \b
    Examples: nightread models phantom-series series --count 400 --labels slices.csv
              nightread models phantom-series odd --count 1 --habit two-stacks --by series --labels odd.csv
    """  # noqa: D301 - click reads the backspace itself
    if labels_file is not None and labels_file.resolve().is_relative_to(folder.resolve()):
        raise UsageFault(f"{labels_file} would be among the images: name a file outside of {folder}.")
    from models.phantoms.ct_series import (  # noqa: PLC0415 - loads pydicom
        CtStyle,
        write_ct_series,
        write_series_labels,
        write_slice_labels,
    )

    drawn = CtStyle(
        slices=style["slices"],
        size=style["size"],
        nodule_share=style["nodules"],
        habit=None if style["habit"] is None else SeriesHabit(style["habit"]),
    )
    try:
        writing = write_ct_series(folder, count=count, seed=seed, style=drawn)
        shown = track(writing, "writing series", total=count, console=err, disable=not err.is_terminal, transient=True)
        truths = [series.without_contents() for series in shown]
        if labels_file is not None:
            (write_slice_labels if by == _SLICE else write_series_labels)(labels_file, truths)
    except OSError as error:
        raise UsageFault(f"The series cannot be written ({type(error).__name__}). Choose another folder.") from error
    files = sum(len(series.files) for series in truths)
    if as_json:
        print_json({"folder": str(folder), "series": count, "files": files})
    else:
        out.print(f"{count:,} series of {files:,} files in {folder}", markup=False)
