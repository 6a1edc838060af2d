"""Run `nightread models export`: add an ONNX file to a bundle that has only a Keras file."""

from pathlib import Path
from typing import Any

import click

from cli.inputs.options import settings_from, state_options
from cli.models.data_options import open_and_describe, optional_data_options
from cli.models.evaluate import named_bundle
from cli.models.usable_examples import readable
from cli.output.console import err, out, print_json
from nightread.errors import UsageFault


@click.command("export")
@click.argument("reference", metavar="BUNDLE")
@click.option("--version", required=True, help="Version of the new bundle, which has both files.")
@optional_data_options
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the new bundle [NAME-VERSION in the bundles of the state folder].",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def export_command(
    reference: str,
    version: str,
    data: str | None,
    labels_file: Path | None,
    seed: int,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a new version of a model that also has an ONNX file.

    On a CPU ONNX Runtime starts faster, needs less memory and is faster than Keras. `models train` and `models import`
    export by themselves; this command is for models of earlier releases. Scores of both files are compared on noise,
    and on the validation part of --data.

    \b
    Examples:
      nightread models export chest@1.0 --version 1.1
      nightread models export chest@1.0 --version 1.1 --data npz:chest.npz
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    bundle = named_bundle(reference, settings.bundle_folders)
    if version == bundle.version:
        raise UsageFault(f"{bundle.reference} stays as it is, because results refer to it: give a new --version.")
    examples = None
    if data is not None:
        examples, _ = readable(open_and_describe(data, labels_file, seed, err).validation, bundle.spec)
    from models.exporting import export_bundle  # noqa: PLC0415 - Keras takes seconds to import

    target = folder or settings.bundle_folders[0] / f"{bundle.name}-{version}"
    made, record = export_bundle(bundle, version, target, examples=examples)
    if as_json:
        print_json({"name": made.name, "version": made.version, "digest": made.digest, "path": str(target), **record})
        return
    compared = record["compared"]
    frames = f"{compared['noise']} frames of noise and {compared['frames']:,} of the data"
    out.print(f"{made.reference}: Keras and ONNX Runtime agree on {frames}.", markup=False)
    out.print(f"Largest difference of a score: {compared['largest_difference']:.1e}. Folder: {target}", markup=False)
