"""Define the command group `nightread models`."""

from typing import ClassVar

import click

from cli.lazy import LazyGroup


class _Models(LazyGroup):
    commands_in: ClassVar[dict[str, tuple[str, str]]] = {
        "list": ("cli.models.catalogue", "List all models and verify their digests."),
        "show": ("cli.models.catalogue", "Show the properties of one model."),
        "samples": ("cli.models.samples", "Draw sample images of a data set as the network sees them."),
        "phantom-series": ("cli.models.phantom_series", "Write synthetic CT series with known truth."),
        "train": ("cli.models.train", "Train a network and write it as a bundle."),
        "train-head": ("cli.models.train_head", "Train a sequence head for a model of slices."),
        "runs": ("cli.models.runs", "List trainings with their figures, recipes and learning curves."),
        "evaluate": ("cli.models.evaluate", "Measure how good a model is."),
        "drift-reference": (
            "cli.models.drift_reference",
            "Write a drift reference into a bundle: what `nightread drift` compares nights with.",
        ),
        "compare": ("cli.models.compare", "Measure two models on the same labelled images."),
        "import": (
            "cli.models.importing",
            "Import an .onnx, .keras or .h5 file that was trained elsewhere, for example with PyTorch.",
        ),
        "export": ("cli.models.export", "Make a new version of a model that also has an ONNX file."),
        "for-series": (
            "cli.models.for_series",
            "From a model, make a new version that also gives results for whole series.",
        ),
        "remove": ("cli.models.remove", "Delete a model that is not active."),
        "activate": ("cli.models.activate", "Add a routing rule: which images this model analyses."),
        "deactivate": ("cli.models.activate", "End all routing rules of a model, or one rule by its number."),
        "promote": (
            "cli.models.promote",
            "Compare two models, and replace the old model by the new model in its rules.",
        ),
        "rollback": (
            "cli.models.promote",
            "Undo the promotion of a model: the model that it replaced is used again.",
        ),
        "route": ("cli.models.route", "Show the routing rules: which images each model analyses."),
    }


@click.group("models", cls=_Models)
def models_command() -> None:
    """Train, evaluate, compare, import and activate models.

    A model is stored as a bundle: a folder with a network and everything that turns its scores into a result. Bundles
    are found in the package, in `bundles` of the state folder, and in the folders of NIGHTREAD_BUNDLE_DIRS.
    """
    from nightread.hardware import quiet_tensorflow  # noqa: PLC0415 - the help needs no settings

    quiet_tensorflow()
