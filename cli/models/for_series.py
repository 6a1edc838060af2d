"""Run `nightread models for-series`: from a model, make a version that also gives results for whole series."""

from pathlib import Path
from typing import Any

import click

from cli.inputs.options import settings_from, state_options
from cli.models.evaluate import named_bundle
from cli.output.console import out, print_json
from imaging.series.rules import ORIENTATIONS, SeriesRules
from models.series.spec import BAD_SLICE_COSTS, SERIES_AGGREGATES, SeriesSpec
from nightread.errors import UsageFault

_SHARE = click.FloatRange(0, 1)


@click.command("for-series")
@click.argument("reference", metavar="BUNDLE")
@click.option("--version", required=True, help="Version of the new bundle.")
@click.option(
    "--aggregate",
    type=click.Choice(SERIES_AGGREGATES),
    required=True,
    help="How the scores of slices become the scores of a series.",
)
@click.option(
    "--count", type=click.IntRange(min=1), default=3, show_default=True, help="Number of slices for top_k and run."
)
@click.option(
    "--above",
    type=_SHARE,
    default=0.5,
    show_default=True,
    help="Score from which a slice is evidence; share and run count such slices.",
)
@click.option(
    "--threshold",
    "thresholds",
    type=(str, _SHARE),
    multiple=True,
    metavar="LABEL SCORE",
    help="Score from which a finding counts in a series [the threshold of a slice; required for share and run].",
)
@click.option(
    "--head",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sequence head, .keras or .onnx: a network from (1, slices, labels) to (1, labels).",
)
@click.option(
    "--bad-slice",
    type=click.Choice(BAD_SLICE_COSTS),
    default="slice",
    show_default=True,
    help="What is left out if a slice failed or is defective: the slice, its neighbours too, or the whole series.",
)
@click.option(
    "--minimum-slices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="A series with fewer slices gets no result.",
)
@click.option("--spacing", type=(float, float), metavar="LOW HIGH", help="Distance that slices must have, in mm [any].")
@click.option(
    "--orientation",
    type=click.Choice(ORIENTATIONS),
    default="any",
    show_default=True,
    help="Orientation that the slices must have.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the new bundle [NAME-VERSION in the bundles of the state folder].",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def for_series_command(
    reference: str, version: str, head: Path | None, folder: Path | None, as_json: bool, **options: Any
) -> None:
    """From a model, make a new version that also gives results for whole series.

    Slices keep their own results. docs/series_results.md explains aggregates and rules.

    \b
    Examples:
      nightread models for-series ct-nodule --version 1.2 --aggregate max --minimum-slices 20
      nightread models for-series ct-nodule --version 1.3 --aggregate run --count 3 --threshold nodule 1
      nightread models for-series ct-nodule --version 1.4 --aggregate head --head head.onnx
    """  # noqa: D301 - click reads the backspace itself
    spec = _spec(options)
    settings = settings_from(**options)
    bundle = named_bundle(reference, settings.bundle_folders)
    if version == bundle.version:
        raise UsageFault(f"{bundle.reference} stays as it is, because results refer to it: give a new --version.")
    from models.series_version import series_version  # noqa: PLC0415 - the help needs no networks

    target = folder or settings.bundle_folders[0] / f"{bundle.name}-{version}"
    made = series_version(bundle, version, spec, target, [head] if head else [])
    if as_json:
        print_json({"name": made.name, "version": made.version, "digest": made.digest, "path": str(target)})
        return
    out.print(f"{made.reference} gives results of series by {spec.aggregate}. Folder: {target}", markup=False)


def _spec(options: dict[str, Any]) -> SeriesSpec:
    """Make the SeriesSpec from the options, and remove the used options from `options`.

    Raises UsageFault for values that no series can meet.
    """
    values = {name: options.pop(name) for name in ("aggregate", "count", "above", "bad_slice")}
    rules = {name: options.pop(name) for name in ("minimum_slices", "orientation")}
    spacing = options.pop("spacing")
    try:
        return SeriesSpec(
            **values, thresholds=dict(options.pop("thresholds")), rules=SeriesRules(**rules, spacing_mm=spacing)
        )
    except ValueError as error:
        raise UsageFault(f"{error}.") from None
