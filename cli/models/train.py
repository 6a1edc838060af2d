"""Run `nightread models train`: train a network on labelled images and write a bundle."""

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from cli.models.card_values import domain_option, stated_domain
from cli.models.data_options import data_options, open_and_describe
from cli.models.training_options import card_from, recipe_from, recipe_options
from cli.models.training_progress import TrainingProgress
from cli.models.training_report import report_json, show_report
from cli.output.console import err, out, print_json
from models.domain_of_data import ONLY_PICTURES, takes_only_pictures
from models.runtimes.quiet_keras import import_keras
from models.training.checkpoint import FOLDER, Checkpoint
from models.training.listener import Listener, ListenerGroup
from models.training.out_folder import require_free, require_no_training
from models.training.request import TrainingRequest
from nightread.errors import UsageFault

if TYPE_CHECKING:  # the import loads Matplotlib
    from models.training.mlflow_tracker import MlflowTracker


@click.command("train")
@data_options
@recipe_options
@click.option(
    "--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the bundle."
)
@click.option("--name", help="Name of the model [KIND-NETWORK].")
@click.option("--version", default="1.0", show_default=True, help="Version of the model.")
@click.option("--intended-use", help="What the model is made for, in one sentence.")
@click.option("--exclusion", "exclusions", multiple=True, help="What the model must not be used for; repeatable.")
@domain_option
@click.option("--normal-label", help="Label of an image in which nothing was found; all other labels are findings.")
@click.option(
    "--aggregate",
    type=click.Choice(["max", "mean", "vote"]),
    default="max",
    show_default=True,
    help="How the frames of an image become one result.",
)
@click.option(
    "--memory-gib", default=2.0, show_default=True, help="Memory for prepared images; larger data are streamed."
)
@click.option("--also-h5", is_flag=True, help="Also write a legacy .h5 file.")
@click.option(
    "--tracker",
    type=click.Choice(["mlflow"]),
    help="Also send recipe, learning curves and figures to the MLflow of MLFLOW_TRACKING_URI.",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted training after its last complete epoch.")
@click.option("--overwrite", is_flag=True, help="Replace the bundle or the unfinished training in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print recipe, history and figures as JSON on standard output.")
def train_command(
    folder: Path, resume: bool, overwrite: bool, as_json: bool, tracker: str | None, **options: Any
) -> None:
    """Train a network and write it as a bundle.

    The network is evaluated once, on test images that it was not trained on. The state is saved after each epoch, so
    that Ctrl-C loses only the current epoch.

    \b
    Examples:
      nightread models train --data mnist:data/mnist --network classic --epochs 10 --out bundles/mnist
      nightread models train --data npz:pneumonia.npz --network residual --normal-label normal --out bundles/pneumonia
      nightread models train --data images:xrays --network MobileNetV3Small --size 224 --flip --out bundles/xrays
      nightread models train --data dicom-series:series --labels slices.csv --network detector \\
        --channel @-1 --channel @0 --channel @1 --out bundles/series
      MLFLOW_TRACKING_URI=http://mlflow:5000 nightread models train --data npz:breast.npz --network residual \
          --tracker mlflow --out bundles/breast
      nightread models train --data phantom:9000 --network detector --flip --epochs 14 --out bundles/phantom
    """  # noqa: D301 - click reads the backspace itself
    if resume and overwrite:
        raise UsageFault(
            "--resume continues an unfinished training and --overwrite discards it: give only one of them."
        )
    require_no_training(folder)
    require_free(folder, resume=resume, overwrite=overwrite)
    listening = _listening(tracker)
    request = _request(err if as_json else out, folder=folder, **options)

    import_keras()
    from models.training.train import train  # noqa: PLC0415 - Keras takes seconds to import

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM then cleans up as Ctrl-C does
    try:
        with listening as listener:
            trained = train(replace(request, listener=listener), resume=resume, overwrite=overwrite)
    except UsageFault:
        raise
    except KeyboardInterrupt:
        _report_checkpoint(folder)
        sys.exit(130)
    except Exception:
        _report_checkpoint(folder)
        raise
    if as_json:
        print_json(report_json(request, trained))
    else:
        show_report(out, trained)
    if takes_only_pictures(trained.bundle.domain):
        err.print(ONLY_PICTURES, style="yellow", markup=False)


def _listening(tracker: str | None) -> AbstractContextManager[Listener]:
    """Return a listener that shows the progress and sends it to the tracker, if one is named.

    Raises UsageFault if the tracker cannot be used.
    """
    if tracker is None:
        return TrainingProgress()
    from models.training.mlflow_tracker import MlflowTracker  # noqa: PLC0415 - an optional extra, and slow to import

    return _tracked(MlflowTracker(lambda text: err.print(text, markup=False, style="yellow")))


@contextmanager
def _tracked(tracker: "MlflowTracker") -> Iterator[Listener]:
    with TrainingProgress() as progress, tracker:
        yield ListenerGroup((progress, tracker))


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
    """Build the training request from the options; this opens and describes the data."""
    stated = stated_domain(options.pop("domain"))
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
        stated_domain=stated,
    )


def _report_checkpoint(folder: Path) -> None:
    checkpoint = Checkpoint(folder / FOLDER)
    if checkpoint.exists():
        remedy = "To continue, run the same command with --resume and without --overwrite."
        err.print(f"The complete epochs are saved in {checkpoint.folder}. {remedy}", markup=False)
    else:
        err.print("No epoch was complete, so nothing was saved.", markup=False)
