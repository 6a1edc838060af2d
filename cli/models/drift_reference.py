"""Run `nightread models drift-reference`: write a drift reference into a bundle that has none."""

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.models.data_options import data_options, open_and_describe
from cli.models.evaluate import named_bundle, score_with_progress
from cli.models.usable_examples import readable
from cli.output.console import err, out
from cli.wording import counted
from models.drift_reference import DRIFT_FILE, reference_of_examples, write_reference
from models.evaluation.matching import PARTS, matched, part_of
from models.evaluation.predictions import image_predictions
from nightread.errors import UsageFault


@click.command("drift-reference")
@click.argument("reference", metavar="BUNDLE")
@data_options
@click.option(
    "--part", type=click.Choice(PARTS), default="validation", show_default=True, help="Part of the data to use."
)
@state_options
def drift_reference_command(
    reference: str, data: str, labels_file: Path | None, seed: int, part: str, **options: Any
) -> None:
    """Write a drift reference into a bundle: what `nightread drift` compares nights with.

    `models train` does this with the validation part, and `models import` with golden images. This command is for
    bundles of earlier releases. Results do not change, and the digest stays the same. The next worker that starts
    stores the reference in the database, unless the model has a reference there already.

    BUNDLE is NAME[@VERSION] or the folder of a bundle.

    \b
    Examples:
      nightread models drift-reference chest@2.0 --data dicom:chest-films --labels labels.csv
      nightread models drift-reference bundles/xrays --data images:xrays --part test
    """  # noqa: D301 - click reads the backspace itself
    bundle = named_bundle(reference, settings_from(**options).bundle_folders)
    dataset = open_and_describe(data, labels_file, seed, err)
    examples, _ = readable(matched(bundle, dataset, part_of(dataset, part)), bundle.spec)
    predictions = image_predictions(bundle.postprocessing, score_with_progress(bundle, examples))
    found = reference_of_examples(examples, predictions, bundle.spec)
    try:
        write_reference(bundle.path, found)
    except OSError as error:
        raise UsageFault(
            f"{bundle.path / DRIFT_FILE} cannot be written ({type(error).__name__}): copy the bundle to a folder of "
            "your own, and name that folder."
        ) from error
    out.print(Text(f"Wrote {bundle.path / DRIFT_FILE}: {counted(found.images, 'image')}."))
