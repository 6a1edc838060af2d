"""Run `nightread models samples`: draw a grid of labelled images."""

from pathlib import Path

import click

from cli.models.data_options import data_options, open_and_describe
from cli.output.console import err, out
from models.datasets.grid import draw_samples, write_grid
from models.datasets.summary import PARTS, part_of
from nightread.errors import UsageFault


@click.command("samples")
@data_options
@click.option("--part", type=click.Choice(PARTS), default="train", show_default=True, help="Part of the data to draw.")
@click.option(
    "--count", type=click.IntRange(1, 1000), default=40, show_default=True, help="Number of images in the grid."
)
@click.option(
    "--out",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("samples.png"),
    show_default=True,
    help="PNG file to write.",
)
def samples_command(data: str, labels_file: Path | None, seed: int, part: str, count: int, file: Path) -> None:
    """Draw sample images of a data set as the network sees them.

    The PNG file is a labelled grid with the same number of images of each label.

    Example: nightread models samples --data npz:pneumoniamnist.npz --out samples.png
    """
    dataset = open_and_describe(data, labels_file, seed, err)
    spec = dataset.native_spec
    samples = draw_samples(dataset, part_of(dataset, part), count=count, seed=seed)
    seen = f"{spec.height} x {spec.width} x {spec.channels}, intensity {spec.intensity.kind}, aspect {spec.aspect}"
    try:
        write_grid(samples, file, title=f"{data}, {part}", subtitle=f"as the network sees them: {seen}")
    except OSError as error:
        raise UsageFault(f"Cannot write {file} ({type(error).__name__}). Choose another file with --out.") from error
    out.print(str(file), markup=False)
