"""`nightread models train`: from labelled images to a bundle with its figures."""

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from cli.models.data_options import data_options, open_and_describe
from cli.models.training_options import card_from, recipe_from, recipe_options
from cli.models.training_progress import TrainingProgress
from cli.models.training_report import report_json, show_report
from cli.output.console import err, out, print_json
from models.bundle import CARD_FILE
from models.networks.quiet_keras import import_keras
from models.training.checkpoint import FOLDER, Checkpoint
from models.training.request import TrainingRequest
from nightread.errors import UsageFault


@click.command("train")
@data_options
@recipe_options
@click.option(
    "--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the bundle."
)
@click.option("--name", help="Of the bundle [KIND-NETWORK].")
@click.option("--version", default="1.0", show_default=True, help="Of the bundle.")
@click.option("--intended-use", help="A sentence for those who will rely on it.")
@click.option("--exclusion", "exclusions", multiple=True, help="What it must not be used for; may be repeated.")
@click.option("--normal-label", help="The label that means: nothing found. The others are then findings.")
@click.option(
    "--aggregate",
    type=click.Choice(["max", "mean", "vote"]),
    default="max",
    show_default=True,
    help="How the frames of one image become its result.",
)
@click.option(
    "--memory-gib", default=2.0, show_default=True, help="For prepared images; those of larger data are streamed."
)
@click.option("--also-h5", is_flag=True, help="Write a legacy .h5 file too.")
@click.option("--resume", is_flag=True, help="Go on after the last whole epoch of an interrupted training.")
@click.option("--overwrite", is_flag=True, help="Replace the bundle, or the unfinished training, in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Recipe, history and figures as JSON on standard output.")
def train_command(folder: Path, resume: bool, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Train a network, evaluate it once on unseen images, and write it as a bundle.

    After each epoch the state is kept: Ctrl-C loses no more than the epoch at hand.

    \b
    Examples:
      nightread models train --data mnist:data/mnist --network classic --epochs 10 --out bundles/mnist
      nightread models train --data npz:pneumonia.npz --network residual --normal-label normal --out bundles/pneumonia
      nightread models train --data images:xrays --network MobileNetV3Small --size 224 --flip --out bundles/xrays
      nightread models train --data phantom:9000 --network detector --flip --epochs 14 --out bundles/phantom
    """  # noqa: D301 - click reads the backspace itself
    _require_room(folder, resume=resume, overwrite=overwrite)
    request = _request(err if as_json else out, folder=folder, **options)

    import_keras()
    from models.training.train import train  # noqa: PLC0415 - Keras takes seconds to import

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves things in order, as Ctrl-C does
    try:
        with TrainingProgress() as listener:
            trained = train(replace(request, listener=listener), resume=resume)
    except UsageFault:
        raise
    except KeyboardInterrupt:
        _say_what_is_kept(folder)
        sys.exit(130)
    except Exception:
        _say_what_is_kept(folder)
        raise
    if as_json:
        print_json(report_json(request, trained))
    else:
        show_report(out, trained)


def _request(
    console: Console,
    *,
    data: str,
    labels_file: Path | None,
    seed: int,
    folder: Path,
    pretrained: Path | None,
    memory_gib: float,
    also_h5: bool,
    **options: Any,
) -> TrainingRequest:
    """The training that the options describe; the data are opened and described on the way."""
    dataset = open_and_describe(data, labels_file, seed, console)
    recipe = recipe_from(dataset, pretrained=pretrained, seed=seed, **options)
    return TrainingRequest(
        dataset=dataset,
        recipe=recipe,
        card=card_from(dataset, recipe, **options),
        folder=folder,
        pretrained=pretrained,
        memory_gib=memory_gib,
        also_h5=also_h5,
    )


def _require_room(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise UsageFault where something would be lost that nobody said may go."""
    if resume and overwrite:
        raise UsageFault("--resume keeps an unfinished training and --overwrite discards it: choose one")
    if not resume and not overwrite and Checkpoint(folder / FOLDER).exists():
        raise UsageFault(f"{folder} holds an unfinished training: go on with --resume, or discard it with --overwrite")
    if not resume and not overwrite and (folder / CARD_FILE).exists():
        raise UsageFault(f"{folder} holds a bundle: name another --out, or replace it with --overwrite")


def _say_what_is_kept(folder: Path) -> None:
    kept = Checkpoint(folder / FOLDER)
    if kept.exists():
        remedy = "the same command with --resume, and without --overwrite, goes on."
        err.print(f"The epochs so far are kept in {kept.folder}: {remedy}", markup=False)
    else:
        err.print("No epoch was complete: nothing is kept.", markup=False)
