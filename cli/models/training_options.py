"""Define the options of a training recipe, and build recipe and bundle from them."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.models.card_values import INTENSITY, channel_option
from imaging.input_channel import channels_from_json
from imaging.spec import ASPECTS, InputSpec, Intensity
from models.bundle import Bundle
from models.datasets.dataset import Dataset
from models.evaluation.operating import YOUDEN, Policy
from models.networks.names import OWN_NETWORKS
from models.postprocessing import SIGMOID, SOFTMAX, Postprocessing
from models.training.recipe import MIXED_PRECISION, OPTIMIZERS, SCHEDULES, Augmentation, Recipe, default_hyperparameters
from nightread.errors import UsageFault

F = TypeVar("F", bound=Callable[..., Any])

_EVEN = 0.5
_OPTIONS = (
    click.option(
        "--network", required=True, metavar="NAME", help=f"{', '.join(OWN_NETWORKS)}, or a name in keras.applications."
    ),
    click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True, help="Number of epochs."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Images per training step [depends on the network]."),
    click.option("--learning-rate", type=float, help="Initial learning rate [depends on the network]."),
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="Optimizer [depends on the network]."),
    click.option(
        "--schedule",
        type=click.Choice(SCHEDULES),
        default="cosine",
        show_default=True,
        help="How the learning rate changes.",
    ),
    click.option(
        "--size",
        metavar="PIXELS",
        type=click.IntRange(min=1),
        help="Height and width of the input [as in the data, if they are equal and at most 256; else 128].",
    ),
    click.option(
        "--channels",
        type=click.Choice(["1", "3"]),
        help="Channels of the input [3 if any picture has colours, else 1].",
    ),
    channel_option,
    click.option(
        "--intensity",
        type=INTENSITY,
        help="How pixels become grey values: voi, voi:refuse, full, window:-600:1500 or percentile:1:99 "
        "[set by the data].",
    ),
    click.option(
        "--aspect", type=click.Choice(ASPECTS), help="How images that are not square are fitted [set by the data]."
    ),
    click.option("--rotate", default=0.0, metavar="DEGREES", help="Rotate training images by up to this angle."),
    click.option(
        "--shift", default=0.0, metavar="SHARE", help="Shift training images by up to this share of their size."
    ),
    click.option("--flip", is_flag=True, help="Mirror half of the training images left to right."),
    click.option(
        "--class-weights",
        is_flag=True,
        help="Give images with rare labels a higher weight, so that each label has the same weight in the loss.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(min=1),
        metavar="EPOCHS",
        help="Stop after this many epochs without improvement, and keep the best epoch.",
    ),
    click.option(
        "--threshold",
        "threshold_policy",
        metavar="POLICY",
        default=YOUDEN,
        show_default=True,
        help="How the threshold of a finding is chosen on the validation part: youden, sensitivity:0.95, "
        "specificity:0.95, or fixed:0.5. Without --normal-label the label with the highest score is the result.",
    ),
    click.option(
        "--mixed-precision",
        type=click.Choice(MIXED_PRECISION),
        default="auto",
        show_default=True,
        help="Compute in 16 bits where possible.",
    ),
    click.option(
        "--weights",
        "pretrained",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with pretrained weights of a keras.applications network, without its top layer.",
    ),
)


def recipe_options(command: F) -> F:
    """Add --network, --epochs and all other options of a Recipe."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def recipe_from(dataset: Dataset, *, network: str, size: int | None, pretrained: Path | None, **options: Any) -> Recipe:
    """Build the recipe from the options. Raises UsageFault for invalid values."""
    Policy.parse(options["threshold_policy"])
    known = ("batch_size", "learning_rate", "optimizer")
    chosen = {name: options[name] for name in known if options[name] is not None}
    if options["class_weights"] and not dataset.exclusive:
        raise UsageFault("--class-weights needs data with exactly one label per image.")
    try:
        spec = _spec(dataset, size, options)
        if spec.needs_neighbours and not dataset.of_series:
            raise UsageFault(f"{dataset.reference} has no neighbouring slices: give --data dicom-series:FOLDER.")
        return Recipe(
            network=network,
            spec=spec,
            epochs=options["epochs"],
            schedule=options["schedule"],
            augmentation=Augmentation(
                rotation_degrees=options["rotate"], shift_share=options["shift"], flip=options["flip"]
            ),
            class_weights=options["class_weights"],
            patience=options["patience"],
            threshold_policy=options["threshold_policy"],
            mixed_precision=options["mixed_precision"],
            pretrained=pretrained.name if pretrained else None,
            seed=options["seed"],
            **default_hyperparameters(network) | chosen,
        )
    except ValueError as error:
        raise UsageFault(str(error)) from error


def _spec(dataset: Dataset, size: int | None, options: dict[str, Any]) -> InputSpec:
    changes: dict[str, Any] = {} if size is None else {"height": size, "width": size}
    if options["channels"] is not None:
        changes["channels"] = int(options["channels"])
    if options["meanings"]:
        if options["channels"] is not None:
            raise UsageFault("Give --channels or --channel, not both: each --channel is one channel.")
        changes["meanings"] = channels_from_json(options["meanings"])
        changes["channels"] = len(changes["meanings"])
    if options["intensity"] is not None:
        changes["intensity"] = Intensity(**options["intensity"])
    if options["aspect"] is not None:
        changes["aspect"] = options["aspect"]
    return replace(dataset.native_spec, **changes)


def card_from(
    dataset: Dataset,
    recipe: Recipe,
    *,
    name: str | None,
    version: str,
    intended_use: str | None,
    exclusions: tuple[str, ...],
    normal_label: str | None,
    aggregate: str,
    **_: Any,
) -> Bundle:
    """Build the bundle from the options, before calibration. Raises UsageFault for invalid values."""
    kind = dataset.reference.partition(":")[0]
    named = name or re.sub(r"[^a-z0-9._-]+", "-", f"{kind}-{recipe.network.lower()}")[:64]
    if normal_label is not None and normal_label not in dataset.labels:
        raise UsageFault(
            f"--normal-label {normal_label} is not a label of the data; the labels are {', '.join(dataset.labels)}."
        )
    highest = dataset.exclusive and normal_label is None
    try:
        postprocessing = Postprocessing(
            labels=dataset.labels,
            normal_label=normal_label,
            activation=SOFTMAX if dataset.exclusive else SIGMOID,
            thresholds={label: None if highest else _EVEN for label in dataset.labels if label != normal_label},
            temperature=1.0,
            aggregate=aggregate,
        )
        return Bundle(
            name=named,
            version=version,
            postprocessing=postprocessing,
            spec=recipe.spec,
            intended_use=intended_use or f"Distinguishes {', '.join(dataset.labels)} in images like its training data.",
            exclusions=exclusions,
        )
    except ValueError as error:
        raise UsageFault(str(error)) from error
